//! The stages of each way, one after another.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use origin_consumer::consume::Decoder;
use origin_consumer::insert::{self, BatchRows, Before, Rows};
use spillway_bench::cpu;
use spillway_bench::rig::{DATABASE, Rig};
use spillway_bench::workload::batches;
use spillway_decode::columns::{SpanColumns, Unzip};
use spillway_decode::native::Compressor;
use spillway_decode::rows::rows_of;
use spillway_generator::objects::Object;
use spillway_proto::otlp::{Criteria, DecompressLimits, RepairedRuns, SpanLimits, decompress, judge};
use spillway_proto::record::records_of;
use tokio::task::block_in_place;
use ulid::Ulid;

use crate::report::Turn;

const LIMITS: DecompressLimits = DecompressLimits { max_bytes: 100 << 20 };
const FIRST_TRY: Before = Before { inserts: 0, look_first: false };

/// Takes every batch through the stages of `decoder`, and into a table that keeps nothing.
pub async fn measure(
    turn: &mut Turn<'_>,
    decoder: Decoder,
    objects: &[Object],
    batch_spans: usize,
    rig: &mut Rig,
) -> Result<()> {
    let table = rig.table(DATABASE, "nowhere");
    let (mut inserting, engine_before) = (Duration::ZERO, rig.engine_cpu()?);
    let mut columns = SpanColumns::default();
    for batch in batches(objects, batch_spans) {
        let rows = block_in_place(|| match decoder {
            Decoder::Wire => by_wire(turn, batch, &mut columns),
            Decoder::Prost => by_prost(turn, batch),
        })?;
        let before = cpu::of_this_process();
        insert::store(&table, &rows, FIRST_TRY).await?;
        inserting += cpu::of_this_process() - before;
        if let Rows::Columns(used) = rows.rows {
            columns = Arc::into_inner(used).context("the columns are held elsewhere")?;
            columns.clear();
        }
    }
    turn.add("insert, with what is above from sort on", inserting);
    turn.add("ClickHouse, a table that keeps nothing", rig.engine_cpu()? - engine_before);
    Ok(())
}

fn by_wire(turn: &mut Turn<'_>, batch: &[Object], columns: &mut SpanColumns) -> Result<BatchRows> {
    let mut unzip = Unzip::default();
    timed(turn, "gunzip", || {
        for record in records(batch, |object| &object.stored)? {
            black_box(unzip.payload(&record.payload, record.compression, LIMITS)?);
        }
        Ok(())
    })?;
    timed(turn, "(the pass alone, which is in the next)", || {
        for Object { notification, payload, .. } in batch {
            let criteria = Criteria::new(SpanLimits::default(), notification.received_at_unix_ms);
            black_box(judge(payload, &criteria, &RepairedRuns::default())?);
        }
        Ok(())
    })?;
    let mut columns = std::mem::take(columns);
    let mut objects = Vec::with_capacity(batch.len());
    timed(turn, "decode, validate, encode", || {
        for Object { notification, plain, .. } in batch {
            let first = columns.len() as u32;
            columns.add_object(notification, plain.clone(), LIMITS, None, &mut unzip)?;
            objects.push((notification.object_key.clone(), first..columns.len() as u32));
        }
        Ok(())
    })?;
    let spans: Vec<u32> = (0..columns.len() as u32).collect();
    timed(turn, "sort", || {
        black_box(columns.sorted(&spans));
        Ok(())
    })?;
    let mut pieces = Vec::new();
    timed(turn, "sort and write the block", || {
        let write = columns.write(&spans, &mut |piece| {
            pieces.push(piece.len());
            Ok(())
        });
        Ok(write?)
    })?;
    let mut compressor = Compressor::default();
    timed(turn, "sort, write the block, LZ4", || {
        let write = columns.write(&spans, &mut |piece| {
            black_box(compressor.frame(piece));
            Ok(())
        });
        Ok(write?)
    })?;
    Ok(BatchRows { batch_id: Ulid::generate(), objects, rows: Rows::Columns(Arc::new(columns)) })
}

fn by_prost(turn: &mut Turn<'_>, batch: &[Object]) -> Result<BatchRows> {
    timed(turn, "gunzip", || {
        for record in records(batch, |object| &object.stored)? {
            black_box(decompress(&record.payload, record.compression, LIMITS)?);
        }
        Ok(())
    })?;
    let mut objects = Vec::with_capacity(batch.len());
    timed(turn, "decode, validate, encode", || {
        for Object { notification, plain, .. } in batch {
            let rows = rows_of(notification, plain.clone(), LIMITS, None)?;
            objects.push((notification.object_key.clone(), rows));
        }
        Ok(())
    })?;
    Ok(BatchRows::of_each(Ulid::generate(), objects))
}

fn records(
    batch: &[Object],
    bytes: fn(&Object) -> &bytes::Bytes,
) -> Result<Vec<spillway_proto::record::ObjectRecord>> {
    let mut records = Vec::with_capacity(batch.len());
    for object in batch {
        records.extend(records_of(bytes(object).clone())?);
    }
    Ok(records)
}

/// Adds what this thread uses for `work`.
fn timed<T>(turn: &mut Turn<'_>, stage: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = cpu::of_this_thread();
    let done = work();
    turn.add(stage, cpu::of_this_thread() - before);
    done
}
