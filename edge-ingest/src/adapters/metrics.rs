//! The Worker behind the binding `METRICS`.

use worker::{Env, Fetcher};

use super::post::{JSON, Post};
use super::{binding, fault};
use crate::operator;
use crate::ports::{MetricsSink, PortError};

const WHAT: &str = "metrics";

pub(super) struct MetricsBinding(Fetcher);

impl MetricsBinding {
    /// The binding is optional.
    pub(super) fn of(env: &Env) -> Option<Self> {
        env.service(binding::METRICS).ok().map(Self)
    }
}

impl MetricsSink for MetricsBinding {
    async fn send(&self, batch: &[u8]) -> Result<(), PortError> {
        let url = format!("https://metrics{}", operator::PATH);
        let post = Post { url: &url, headers: &[("content-type", JSON)], body: batch };
        let request = post.request().map_err(fault(WHAT))?;
        match self.0.fetch_request(request).await.map_err(fault(WHAT))?.status_code() {
            200 => Ok(()),
            status => Err(PortError { what: WHAT, detail: format!("answered {status}") }),
        }
    }
}
