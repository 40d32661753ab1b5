//! Probes the way to the origin ([`spillway_proto::probe`]): for the canary, and for an operator who asks.

use spillway_proto::ObjectKey;
use spillway_proto::probe::{MAX_BYTES, ProbeKind, ProbeReport, ProbeRequest, RouteProbe};
use spillway_proto::signature;

use crate::config::{Config, Destination};
use crate::mesh::link::Link;
use crate::ports::{Body, Prober, Runtime};
use crate::reject::Rejection;
use crate::request::Head;
use crate::signed_request;

/// Sends one probe where notifications go by HTTP. It is tried once: what it meets is what is asked for.
pub async fn probe(
    kind: ProbeKind,
    object_key: Option<ObjectKey>,
    config: &Config,
    prober: &impl Prober,
    runtime: &impl Runtime,
) -> ProbeReport {
    let ways = [Some(&config.notify.primary), config.notify.fallback.as_ref()];
    let url = ways.into_iter().flatten().find_map(|way| match way {
        Destination::Http(url) => Some(url),
        Destination::Queue | Destination::Binding => None,
    });
    let Some(url) = url else { return ProbeReport::default() };
    let sent = RouteProbe { kind, sent_at_unix_ms: runtime.now(), object_key };
    let report = ProbeReport { url: Some(url.clone()), ..ProbeReport::default() };
    let body = match serde_json::to_vec(&sent) {
        Ok(body) => body,
        Err(error) => return ProbeReport { fault: Some(error.to_string()), ..report },
    };
    let signature = signature::sign(config.notify.signing_key.expose(), runtime.now(), &body);
    let asked = prober.probe(url, &body, &signature);
    match Link::within_time(config.notify.link.timeout, runtime, asked).await {
        Some(Ok(answer)) => ProbeReport {
            status: Some(answer.status),
            route: serde_json::from_slice(&answer.body).ok(),
            mitigated: answer.mitigated,
            ..report
        },
        Some(Err(fault)) => ProbeReport { fault: Some(fault.to_string()), ..report },
        None => ProbeReport {
            fault: Some(format!("no answer within {:?}", config.notify.link.timeout)),
            ..report
        },
    }
}

/// Answers an operator's signed request with a [`ProbeReport`] in JSON.
pub async fn report(
    head: &Head,
    body: &mut impl Body,
    config: &Config,
    prober: &impl Prober,
    runtime: &impl Runtime,
) -> Result<Vec<u8>, Rejection> {
    signed_request::read::<ProbeRequest>(head, body, MAX_BYTES, config, runtime).await?;
    let report = probe(ProbeKind::Asked, None, config, prober, runtime).await;
    serde_json::to_vec(&report).map_err(|_| Rejection::BadSignature)
}
