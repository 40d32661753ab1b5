//! A probe of the way from the edge to the origin: sent where notifications are sent, and answered with what the origin sees
//! of the way that it came.
//!
//! The edge sends a [`RouteProbe`] to `NOTIFY_URL`, signed as a notification is ([`crate::signature`]), and the origin answers
//! with a [`Route`]. The edge's cron does so every minute (the canary); an operator asks for it by
//! `POST` [`PATH`] at the edge with a [`ProbeRequest`], signed in the same way, and is answered with a [`ProbeReport`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::UnixMillis;
use crate::object_key::ObjectKey;

/// Where an operator asks the edge for a probe.
pub const PATH: &str = "/spillway/probe";

/// The `Content-Type` of a probe, at the origin and at the edge.
pub const CONTENT_TYPE: &str = "application/vnd.spillway.probe.v1+json";

/// The largest probe that is read, in bytes.
pub const MAX_BYTES: usize = 4096;

/// The header by which a rule of the zone may mark what comes through its front door (deploy/WAF.md).
pub const FRONT_DOOR: &str = "spillway-front-door";

/// Why a probe is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// By the edge's cron.
    Canary,
    /// Somebody asked for it.
    Asked,
}

/// A probe, as the edge sends it to the origin. JSON on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteProbe {
    /// Why.
    pub kind: ProbeKind,
    /// When it was sent.
    pub sent_at_unix_ms: UnixMillis,
    /// The object with the canary's trace, which has to arrive as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_key: Option<ObjectKey>,
}

/// Asks the edge for a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeRequest {
    /// When it was asked.
    pub asked_at_unix_ms: UnixMillis,
}

/// The way that something came, as far as its headers tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// What the headers are read as, and a hash of them: `worker-1a2b3c4d`.
    pub name: String,
    /// Which of the headers that tell of a way were there, and what of them tells: never an address.
    pub headers: BTreeMap<String, String>,
}

/// What became of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Where it was sent; nothing where the edge does not notify by HTTP.
    pub url: Option<String>,
    /// The answer's status.
    pub status: Option<u16>,
    /// The way, as the origin has seen it.
    pub route: Option<Route>,
    /// What the zone's firewall has done instead of passing it on: the answer's `cf-mitigated`.
    pub mitigated: Option<String>,
    /// Why there was no answer.
    pub fault: Option<String>,
}
