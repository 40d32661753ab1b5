//! The floor for a Worker in Rust: reads the body into wasm's memory and answers. Where its variable `THEN` says so, it checks
//! the body first as the edge does, computes the object's id of it, or has `prost` decode it.
#![cfg(target_arch = "wasm32")]

use std::hint::black_box;

use spillway_proto::otlp::{
    Compression, Criteria, DecompressLimits, Encoding, RepairedRuns, SpanLimits, decode, decompress, judge,
};
use spillway_proto::{ObjectId, TenantId, UnixMillis};
use worker::{Context, Date, Env, Error, Request, Response, event};

const LIMITS: DecompressLimits = DecompressLimits { max_bytes: 16 << 20 };

#[event(fetch)]
async fn fetch(mut request: Request, env: Env, _ctx: Context) -> worker::Result<Response> {
    let body = request.bytes().await?;
    let then = env.var("THEN").map(|then| then.to_string()).unwrap_or_default();
    if !then.is_empty() {
        let encoding = request.headers().get("content-encoding")?;
        let compression =
            Compression::from_header(encoding.as_deref()).ok_or_else(|| failed("compressed by what?"))?;
        let plain = decompress(&body, compression, LIMITS).map_err(failed)?;
        match then.as_str() {
            "check" => {
                let criteria = Criteria::new(SpanLimits::default(), UnixMillis(Date::now().as_millis()));
                judge(&plain, &criteria, &RepairedRuns::default()).map_err(failed)?;
            }
            "digest" => {
                let tenant: TenantId = "bench".parse().map_err(failed)?;
                black_box(ObjectId::new(&tenant, None, &plain));
            }
            "decode" => drop(decode(&plain, Encoding::Protobuf).map_err(failed)?),
            other => return Err(failed(format!("THEN is check, digest or decode, not {other}"))),
        }
    }
    Response::empty()
}

fn failed(error: impl ToString) -> Error {
    Error::RustError(error.to_string())
}
