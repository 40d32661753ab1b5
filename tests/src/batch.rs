//! Objects as a batch, by either decoder.

use anyhow::Result;
use bytes::Bytes;
use origin_consumer::consume::Decoder;
use origin_consumer::insert::{BatchRows, Rows};
use spillway_decode::columns::{SpanColumns, Unzip};
use spillway_decode::rows::rows_of;
use spillway_proto::notification::Notification;
use spillway_proto::otlp::DecompressLimits;
use ulid::Ulid;

/// Both ways to the table.
pub const DECODERS: [Decoder; 2] = [Decoder::Wire, Decoder::Prost];

const LIMITS: DecompressLimits = DecompressLimits { max_bytes: 8 << 20 };

/// A notification and the object that it names.
pub type Object = (Notification, Bytes);

/// The rows of the objects, as a new batch.
pub fn decoded(decoder: Decoder, objects: Vec<Object>) -> Result<BatchRows> {
    let batch_id = Ulid::generate();
    if decoder == Decoder::Prost {
        let rows = |(notification, object): Object| {
            let rows = rows_of(&notification, object, LIMITS, None)?;
            anyhow::Ok((notification.object_key, rows))
        };
        return Ok(BatchRows::of_each(batch_id, objects.into_iter().map(rows).collect::<Result<_>>()?));
    }
    let (mut columns, mut of_objects) = (SpanColumns::default(), Vec::new());
    for (notification, object) in objects {
        let first = u32::try_from(columns.len())?;
        columns.add_object(&notification, object, LIMITS, None, &mut Unzip::default())?;
        of_objects.push((notification.object_key, first..u32::try_from(columns.len())?));
    }
    Ok(BatchRows { batch_id, objects: of_objects, rows: Rows::Columns(columns.into()) })
}
