//! The ports, on Cloudflare: a Worker's request, KV, Durable Objects, R2, and what is called over HTTP, a Queue or a service
//! binding.

mod body;
mod bridge;
mod durable_object;
mod keys;
mod log;
mod metrics;
mod notifier;
mod post;
mod r2;
mod runtime;
mod worker_entry;

use crate::ports::PortError;

/// The names of the bindings, as `wrangler.jsonc` gives them.
mod binding {
    pub(super) const ALLOWANCE: &str = "ALLOWANCE";
    pub(super) const AUTH: &str = "AUTH";
    pub(super) const KEYS: &str = "KEYS";
    pub(super) const METRICS: &str = "METRICS";
    pub(super) const NOTIFICATIONS: &str = "NOTIFICATIONS";
    pub(super) const NOTIFY: &str = "NOTIFY";
    pub(super) const OBJECTS: &str = "OBJECTS";
}

fn fault<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> PortError {
    move |error| PortError { what, detail: error.to_string() }
}
