//! Notifications to the origin, over HTTP.

use http::header::CONTENT_TYPE;
use spillway_proto::trace_context::TRACEPARENT;
use spillway_proto::{notification, signature};
use worker::js_sys::Uint8Array;
use worker::{AbortSignal, Fetch, Headers, Method, Request, RequestInit, web_sys};

use super::fault;
use crate::config::NotifyConfig;
use crate::ports::{Notifier, PortError, SignedNotification};

const WHAT: &str = "origin";

pub(super) struct HttpNotifier<'a>(&'a NotifyConfig);

impl<'a> HttpNotifier<'a> {
    pub(super) fn new(config: &'a NotifyConfig) -> Self {
        Self(config)
    }

    fn request(&self, notification: &SignedNotification) -> worker::Result<Request> {
        let headers = Headers::new();
        headers.set(CONTENT_TYPE.as_str(), notification::CONTENT_TYPE)?;
        headers.set(signature::HEADER, &notification.signature)?;
        headers.set(TRACEPARENT, &notification.traceparent)?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_headers(headers);
        init.with_body(Some(Uint8Array::from(&notification.body[..]).into()));
        // A notification that is sent elsewhere is one that the origin never gets.
        init.with_redirect(worker::RequestRedirect::Manual);
        Request::new_with_init(&self.0.url, &init)
    }
}

impl Notifier for HttpNotifier<'_> {
    async fn send(&self, notification: &SignedNotification) -> Result<(), PortError> {
        let request = self.request(notification).map_err(fault(WHAT))?;
        let timeout_ms = u32::try_from(self.0.timeout.as_millis()).unwrap_or(u32::MAX);
        let signal = AbortSignal::from(web_sys::AbortSignal::timeout_with_u32(timeout_ms));
        let response = Fetch::Request(request).send_with_signal(&signal).await.map_err(fault(WHAT))?;
        match response.status_code() {
            202 => Ok(()),
            status => Err(PortError { what: WHAT, detail: format!("answered {status} instead of 202") }),
        }
    }
}
