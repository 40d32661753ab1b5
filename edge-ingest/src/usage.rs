//! Tells an operator what a tenant has used ([`spillway_proto::usage`]).

use spillway_proto::usage::{MAX_REQUEST_BYTES, UsageReport, UsageRequest};

use crate::allowance::isolate::usage_of;
use crate::config::Config;
use crate::ports::{AllowanceStore, Body, Runtime};
use crate::reject::Rejection;
use crate::request::Head;
use crate::signed_request;

/// Answers a signed request with a [`UsageReport`] in JSON.
pub async fn report(
    head: &Head,
    body: &mut impl Body,
    config: &Config,
    store: &impl AllowanceStore,
    runtime: &impl Runtime,
) -> Result<Vec<u8>, Rejection> {
    let UsageRequest { tenant, month, shards } =
        signed_request::read(head, body, MAX_REQUEST_BYTES, config, runtime).await?;
    let usage = usage_of(&tenant, shards, &month, store).await.map_err(Rejection::Fault)?;
    let report = UsageReport { tenant, month, usage };
    serde_json::to_vec(&report).map_err(|_| Rejection::BadSignature)
}
