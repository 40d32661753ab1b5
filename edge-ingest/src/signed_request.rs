//! What an operator asks of the Worker: a small request, signed with the key that notifications are signed with.

use serde::de::DeserializeOwned;
use spillway_proto::signature;

use crate::body_budget::BodyBudget;
use crate::config::{BodyConfig, Config};
use crate::ports::{Body, Runtime};
use crate::reject::Rejection;
use crate::request::{self, Head};

/// How far the signature's time may be from the Worker's clock, in seconds.
const MAX_AGE_SECONDS: u64 = 300;

/// Reads a request of `max_bytes` at most. Whoever sends another one than our own commands do learns no more than that it is
/// not well signed.
pub(crate) async fn read<T: DeserializeOwned>(
    head: &Head,
    body: &mut impl Body,
    max_bytes: usize,
    config: &Config,
    runtime: &impl Runtime,
) -> Result<T, Rejection> {
    let small = BodyConfig { max_bytes, ..config.body };
    let body =
        request::read(body, None, &mut BodyBudget::default().begin(&BodyBudget::default()), &small, runtime)
            .await;
    let body = body.map_err(|rejection| match rejection {
        // Its limit is not the variable that the refusal would name.
        Rejection::BodyTooLarge { .. } => Rejection::BadSignature,
        other => other,
    })?;
    let signed = head.header(signature::HEADER).unwrap_or_default();
    let key = config.notify.signing_key.expose();
    signature::verify([key], runtime.now(), MAX_AGE_SECONDS, signed, &body)
        .map_err(|_| Rejection::BadSignature)?;
    serde_json::from_slice(&body).map_err(|_| Rejection::BadSignature)
}
