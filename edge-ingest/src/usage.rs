//! Tells an operator what a tenant has used ([`spillway_proto::usage`]).

use spillway_proto::signature;
use spillway_proto::usage::{MAX_REQUEST_BYTES, UsageReport, UsageRequest};

use crate::allowance::isolate::usage_of;
use crate::body_budget::BodyBudget;
use crate::config::{BodyConfig, Config};
use crate::ports::{AllowanceStore, Body, Runtime};
use crate::reject::Rejection;
use crate::request::{self, Head};

/// How far the signature's time may be from the Worker's clock, in seconds.
const MAX_AGE_SECONDS: u64 = 300;

/// Answers a signed request with a [`UsageReport`] in JSON.
pub async fn report(
    head: &Head,
    body: &mut impl Body,
    config: &Config,
    store: &impl AllowanceStore,
    runtime: &impl Runtime,
) -> Result<Vec<u8>, Rejection> {
    let small = BodyConfig { max_bytes: MAX_REQUEST_BYTES, ..config.body };
    let body =
        request::read(body, None, &mut BodyBudget::default().begin(&BodyBudget::default()), &small, runtime)
            .await?;
    let signed = head.header(signature::HEADER).unwrap_or_default();
    let key = config.notify.signing_key.expose();
    signature::verify([key], runtime.now(), MAX_AGE_SECONDS, signed, &body)
        .map_err(|_| Rejection::BadSignature)?;
    let UsageRequest { tenant, month, shards } =
        serde_json::from_slice(&body).map_err(|_| Rejection::BadSignature)?;
    let usage = usage_of(&tenant, shards, &month, store).await.map_err(Rejection::Fault)?;
    let report = UsageReport { tenant, month, usage };
    serde_json::to_vec(&report).map_err(|_| Rejection::BadSignature)
}
