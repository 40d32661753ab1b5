//! The ways to the origin: HTTP, a Cloudflare Queue, a service binding.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use spillway_proto::notification::{self, QueuedNotification};
use spillway_proto::trace_context::TRACEPARENT;
use spillway_proto::{probe, signature};
use worker::wasm_bindgen_futures::JsFuture;
use worker::{AbortSignal, Env, Fetch, Request, web_sys};

use super::post::Post;
use super::{binding, bridge, fault};
use crate::config::Destination;
use crate::ports::{Notifier, PortError, ProbeAnswer, Prober, SignedNotification};

const WHAT: &str = "notification";
const PROBE: &str = "probe";

pub(super) struct Notifiers<'a> {
    pub(super) env: &'a Env,
    /// What one try may take. Racing it against a delay would leave the connection, of which there are six.
    pub(super) timeout: Duration,
}

impl Notifier for Notifiers<'_> {
    async fn send(&self, to: &Destination, notification: &SignedNotification) -> Result<(), PortError> {
        match to {
            Destination::Http(url) => self.by_http(url, notification).await,
            Destination::Queue => self.by_queue(notification).await,
            Destination::Binding => self.by_binding(notification).await,
        }
    }
}

impl Notifiers<'_> {
    async fn by_http(&self, url: &str, notification: &SignedNotification) -> Result<(), PortError> {
        let headers = bridge::lines(headers(notification));
        let signal = self.signal();
        let post = async { JsFuture::from(bridge::post(url, &headers, &notification.body, &signal)?).await };
        let status = post.await.map_err(|error| fault(WHAT)(worker::Error::from(error)))?;
        accepted(status.as_f64().unwrap_or_default() as u16)
    }

    fn signal(&self) -> AbortSignal {
        let timeout_ms = u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX);
        AbortSignal::from(web_sys::AbortSignal::timeout_with_u32(timeout_ms))
    }

    async fn by_binding(&self, notification: &SignedNotification) -> Result<(), PortError> {
        let service = self.env.service(binding::NOTIFY).map_err(fault(WHAT))?;
        let request = request("https://notify/v1/traces", notification)?;
        let response = service.fetch_request(request).await.map_err(fault(WHAT))?;
        accepted(response.status_code())
    }

    /// As text: the origin pulls it by HTTP, where everything else comes in base64.
    async fn by_queue(&self, notification: &SignedNotification) -> Result<(), PortError> {
        let queued = QueuedNotification {
            notification: String::from_utf8(notification.body.clone()).map_err(fault(WHAT))?,
            signature: notification.signature.clone(),
        };
        let text = serde_json::to_string(&queued).map_err(fault(WHAT))?;
        let queue = self.env.queue(binding::NOTIFICATIONS).map_err(fault(WHAT))?;
        let message = worker::RawMessageBuilder::new(worker::js_sys::JsString::from(text).into())
            .build_with_content_type(worker::QueueContentType::Text);
        queue.send_raw(message).await.map_err(fault(WHAT))
    }
}

impl Prober for Notifiers<'_> {
    async fn probe(&self, url: &str, body: &[u8], signature: &str) -> Result<ProbeAnswer, PortError> {
        let headers = [(CONTENT_TYPE.as_str(), probe::CONTENT_TYPE), (signature::HEADER, signature)];
        let request = Post { url, headers: &headers, body }.request().map_err(fault(PROBE))?;
        let mut response =
            Fetch::Request(request).send_with_signal(&self.signal()).await.map_err(fault(PROBE))?;
        let mitigated = response.headers().get("cf-mitigated").map_err(fault(PROBE))?;
        let status = response.status_code();
        // Only the origin's own answer is read; that of a firewall may be a page of any size.
        let body = if status == 200 { response.bytes().await.map_err(fault(PROBE))? } else { Vec::new() };
        Ok(ProbeAnswer { status, mitigated, body })
    }
}

fn request(url: &str, notification: &SignedNotification) -> Result<Request, PortError> {
    let headers = headers(notification);
    Post { url, headers: &headers, body: &notification.body }.request().map_err(fault(WHAT))
}

fn headers(notification: &SignedNotification) -> [(&str, &str); 3] {
    [
        (CONTENT_TYPE.as_str(), notification::CONTENT_TYPE),
        (signature::HEADER, &notification.signature),
        (TRACEPARENT, &notification.traceparent),
    ]
}

fn accepted(status: u16) -> Result<(), PortError> {
    match status {
        202 => Ok(()),
        status => Err(PortError { what: WHAT, detail: format!("answered {status} instead of 202") }),
    }
}
