//! A POST of a few bytes to something else.

use worker::js_sys::Uint8Array;
use worker::{Headers, Method, Request, RequestInit, RequestRedirect};

/// A content type.
pub(super) const JSON: &str = "application/json";

pub(super) struct Post<'a> {
    pub(super) url: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
}

impl Post<'_> {
    pub(super) fn request(&self) -> worker::Result<Request> {
        let headers = Headers::new();
        for (name, value) in self.headers {
            headers.set(name, value)?;
        }
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_headers(headers);
        init.with_body(Some(Uint8Array::from(self.body).into()));
        // What is sent elsewhere never arrives where it should.
        init.with_redirect(RequestRedirect::Manual);
        Request::new_with_init(self.url, &init)
    }
}
