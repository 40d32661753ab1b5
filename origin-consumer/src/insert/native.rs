//! An INSERT of columns: a Native block, compressed.

use std::sync::Arc;

use bytes::Bytes;
use clickhouse::insert_formatted::InsertFormatted;
use clickhouse::{Client, Compression};
use spillway_decode::columns::SpanColumns;
use spillway_decode::native::{Compressor, Gone};
use tokio::sync::mpsc;

use super::clickhouse::TableError;

/// Compressed pieces of a block that wait to be sent.
const FRAMES_AHEAD: usize = 8;

/// The statement, and how it is sent. A column in which every span has the default is left to the server.
pub(super) fn statement(client: Client, table: &str, columns: &SpanColumns) -> InsertFormatted {
    let names: Vec<_> =
        columns.used_columns().into_iter().map(|column| format!("`{}`", column.name)).collect();
    // The columns are named, so that one that the table has lost is an error.
    let sql = format!("INSERT INTO {table} ({}) FORMAT Native", names.join(", "));
    // The frames are compressed where the block is written, beside its thread and not in it.
    let client = client.with_compression(Compression::None).with_setting("decompress", "1");
    // Columns of which many spans have the same are sent in another type than the table's.
    let client = client.with_setting("input_format_native_allow_types_conversion", "1");
    client.insert_formatted_with(sql)
}

/// The compressed frames of a block of `spans`, as a thread makes them.
pub(super) fn frames(columns: Arc<SpanColumns>, spans: Vec<u32>) -> Frames {
    let (sender, frames) = mpsc::channel(FRAMES_AHEAD);
    let writer = tokio::task::spawn_blocking(move || {
        let mut compressor = Compressor::default();
        columns.write(&spans, &mut |piece| sender.blocking_send(compressor.frame(piece)).map_err(|_| Gone))
    });
    Frames { frames, writer }
}

/// A block on its way. Where this is dropped, its writer ends.
pub(super) struct Frames {
    frames: mpsc::Receiver<Bytes>,
    writer: tokio::task::JoinHandle<Result<(), Gone>>,
}

impl Frames {
    /// The next frame; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, TableError> {
        if let Some(frame) = self.frames.recv().await {
            return Ok(Some(frame));
        }
        match (&mut self.writer).await {
            Ok(Ok(())) => Ok(None),
            // The block is not whole: what has been sent of it must not be taken for one.
            Ok(Err(Gone)) | Err(_) => Err(TableError::Writer),
        }
    }
}
