//! Keys, object keys, headers and records.

use std::num::NonZeroU32;

use prost::Message;
use spillway_fuzz::headers::{BODY, KEY};
use spillway_fuzz::wire::NOW;
use spillway_proto::api_key::{ApiKey, RANDOM_BYTES};
use spillway_proto::otlp::{Compression, RepairedRuns, RulesVersion, SpanLimits};
use spillway_proto::record::ObjectRecord;
use spillway_proto::signature::sign;
use spillway_proto::trace_context::TraceContext;
use spillway_proto::{ObjectId, ObjectKey, UnixMillis};

use crate::{Seeds, wire};

pub fn api_keys() -> Seeds {
    let key = |environment: &str, random| {
        ApiKey::new(environment, random).expect("an environment").expose().to_owned()
    };
    let live = key("live", [0xab; RANDOM_BYTES]);
    texts([
        ("live", live.clone()),
        ("shortest", key("a", [0; RANDOM_BYTES])),
        ("longest", key("0123456789abcdef", [0x5a; RANDOM_BYTES])),
        ("mistyped", live.replace("abab", "abba")),
        ("upper-case", live.to_uppercase()),
        ("cut", live[..40].to_owned()),
        ("prefix", "spw_".to_owned()),
        ("four-parts", live.replace("_live_", "_li_ve_")),
        ("of-another-system", "flare-key".to_owned()),
        ("not-ascii", "spw_lïve_".to_owned()),
        ("too-long", "x".repeat(257)),
        ("random-and-environment", "01234567890123456789prod".to_owned()),
    ])
}

pub fn object_keys() -> Seeds {
    let id = ObjectId::new(&"acme".parse().expect("a name"), None, b"body");
    let key = |millis, random, spans| ObjectKey::new(UnixMillis(millis), random, id, spans).to_string();
    let good = key(NOW.0, 7, 12);
    let mut seeds = texts([
        ("usual", good.clone()),
        ("first", key(0, 0, 0)),
        ("last", key(u64::MAX, u128::MAX, u32::MAX)),
        ("leap-day", key(1_709_164_800_000, 1, 1)),
        ("other-year", good.replace("2026", "2025")),
        ("other-shard", good.replace("/6/", "/2/")),
        ("leading-zero", good.replace("-12.", "-012.")),
        ("leading-plus", good.replace("-12.", "-+12.")),
        ("too-many-spans", good.replace("-12.", "-99999999999.")),
        ("small-ulid", good.replace("01M7Y0Z8SE", "01m7y0z8se")),
        ("ulid-overflow", good.replace("01M7Y0Z8SE", "81M7Y0Z8SE")),
        ("four-parts", good.replace("-12.", "-12-1.")),
        ("upper-case", good.to_uppercase()),
        ("no-folder", "x.otlp".to_owned()),
        ("empty-name", "/-.otlp".to_owned()),
    ]);
    seeds.push(("parts", (0..40).collect()));
    seeds
}

pub fn headers() -> Seeds {
    let signed = sign(KEY, NOW, BODY);
    texts([
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        (
            "traceparent-later",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more-of-it".to_owned(),
        ),
        ("traceparent-ff", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        ("traceparent-zero", "00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned()),
        ("traceparent-upper", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01".to_owned()),
        ("signature", signed.clone()),
        ("signature-upper", signed.to_uppercase().replace("V1,T=", "v1,t=").replace(",MAC=", ",mac=")),
        ("signature-plus", signed.replace("t=", "t=+0")),
        ("signature-v2", signed.replace("v1", "v2")),
        ("signature-of-another-time", signed.replace("t=1", "t=2")),
        ("signature-short", "v1,t=1,mac=00".to_owned()),
        ("signature-late", format!("v1,t={},mac={}", u64::MAX, "0".repeat(64))),
        ("type-protobuf", "application/x-protobuf".to_owned()),
        ("type-json", "Application/JSON ; charset=utf-8".to_owned()),
        ("encoding", " GZIP".to_owned()),
        ("encoding-zstd", "zstd".to_owned()),
    ])
}

pub fn records() -> Seeds {
    let payload = wire::whole().encode_to_vec();
    let record = |compression, payload: &[u8]| ObjectRecord {
        tenant: "acme".parse().expect("a name"),
        key_id: "k1".parse().expect("a name"),
        project: Some("shop".parse().expect("a name")),
        received_at: NOW,
        span_limits: SpanLimits { max_days: NonZeroU32::MIN, ..SpanLimits::default() },
        rules: RulesVersion::default(),
        transcoding_repairs: RepairedRuns::default(),
        compression,
        payload: payload.to_vec().into(),
        trace_context: TraceContext { sampled: true, ..TraceContext::root([7; 16], [9; 8]) },
    };
    let one = record(Compression::Identity, &payload).to_object();
    let small = record(Compression::Zstd, b"payload");
    let two = [ObjectRecord { project: None, ..small.clone() }.to_object(), small.to_object()].concat();
    let cut = one[..one.len() - 1].to_vec();
    let spoilt = |from: &[u8], to: &[u8]| {
        let mut object = small.to_object();
        let place = object.windows(from.len()).position(|bytes| bytes == from).expect("it is in there");
        object[place..][..to.len()].copy_from_slice(to);
        object
    };
    vec![
        ("empty", vec![]),
        ("one", one),
        ("two", two),
        ("gzip", record(Compression::Gzip, b"").to_object()),
        ("deflate", record(Compression::Deflate, b"").to_object()),
        ("snappy", record(Compression::Snappy, b"").to_object()),
        ("cut", cut),
        ("bad-tenant", spoilt(b"acme", b"ac/e")),
        ("bad-traceparent", spoilt(b"00-07", b"0--07")),
        ("no-fields", vec![0; 3]),
        ("length-too-large", [[0xff; 9].as_slice(), &[0x01]].concat()),
        ("length-of-a-gigabyte", vec![0x80, 0x80, 0x80, 0x80, 0x04, 0x0a]),
    ]
}

fn texts<const N: usize>(texts: [(&'static str, String); N]) -> Seeds {
    texts.into_iter().map(|(name, text)| (name, text.into_bytes())).collect()
}
