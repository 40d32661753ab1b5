//! The ports, on Cloudflare: a Worker's request, KV, a Durable Object, R2, and the origin over HTTP.

mod durable_object;
mod kv;
mod origin_http;
mod r2;
mod runtime;
mod worker_entry;

use crate::ports::PortError;

/// The names of the bindings, as `wrangler.jsonc` gives them.
mod binding {
    pub(super) const KEYS: &str = "KEYS";
    pub(super) const OBJECTS: &str = "OBJECTS";
    pub(super) const USAGE: &str = "USAGE";
}

fn fault<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> PortError {
    move |error| PortError { what, detail: error.to_string() }
}
