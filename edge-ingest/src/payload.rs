//! Step 5: decompress, transcode JSON, validate, and choose the bytes to store.

use std::borrow::Cow;

use prost::bytes::Bytes;
use spillway_proto::key_record::KeyRecord;
use spillway_proto::otlp::{
    Compression, Criteria, DecompressLimits, Encoding, RepairedRuns, RulesVersion, Transcoded, Verdict,
    decompress, judge, transcode,
};
use spillway_proto::{ObjectId, UnixMillis};

use crate::config::BodyConfig;
use crate::reject::Rejection;
use crate::request::Announced;

/// What a request holds.
#[derive(Debug)]
pub struct Payload {
    /// How many spans are valid.
    pub verdict: Verdict,
    /// The body as received.
    pub received: Bytes,
    /// The request in protobuf: as received, or transcoded from JSON.
    pub bytes: Bytes,
    /// How many bytes the request in protobuf has when it is not compressed.
    pub decompressed_bytes: u64,
    /// How `bytes` is compressed.
    pub compression: Compression,
    /// What was repaired while JSON was transcoded.
    pub transcoding_repairs: RepairedRuns,
    /// Which request it is.
    pub object_id: ObjectId,
}

/// The rules that the edge judges by.
pub const RULES: RulesVersion = RulesVersion::V2;

/// Checks a request's body, received with `key` at `received_at`, and hands it on.
pub fn check(
    received: Vec<u8>,
    announced: Announced,
    config: &BodyConfig,
    key: &KeyRecord,
    received_at: UnixMillis,
) -> Result<Payload, Rejection> {
    let Announced { encoding, compression, .. } = announced;
    let limit = config.decompressed_limit(encoding);
    let body = decompress(&received, compression, DecompressLimits { max_bytes: limit.max_bytes });
    let body = body.map_err(|error| Rejection::of_decompression(error, limit))?;
    let criteria = Criteria { rules: RULES, limits: key.span_limits, received_at };
    let judged = |message: &[u8], repairs: &RepairedRuns| {
        judge(message, &criteria, repairs).map_err(|error| Rejection::Malformed(error.into()))
    };
    let id_of = |message: &[u8]| ObjectId::new(&key.tenant, key.project.as_ref(), message);
    match encoding {
        Encoding::Protobuf => {
            let transcoding_repairs = RepairedRuns::default();
            let (verdict, object_id) = (judged(&body, &transcoding_repairs)?, id_of(&body));
            let decompressed_bytes = body.len() as u64;
            drop(body);
            let received = Bytes::from(received);
            Ok(Payload {
                verdict,
                bytes: received.clone(),
                received,
                decompressed_bytes,
                compression,
                transcoding_repairs,
                object_id,
            })
        }
        Encoding::Json => {
            let Transcoded { message, repairs } =
                transcode(&body).map_err(|error| Rejection::Malformed(error.into()))?;
            drop::<Cow<'_, [u8]>>(body);
            Ok(Payload {
                verdict: judged(&message, &repairs)?,
                object_id: id_of(&message),
                decompressed_bytes: message.len() as u64,
                received: received.into(),
                bytes: message.into(),
                compression: Compression::Identity,
                transcoding_repairs: repairs,
            })
        }
    }
}
