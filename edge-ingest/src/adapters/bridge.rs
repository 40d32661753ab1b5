//! Calls of JavaScript that do in one crossing what `worker` does in dozens: `bridge.js` says what they do.

use http::{HeaderMap, HeaderName, HeaderValue};
use worker::js_sys::Promise;
use worker::wasm_bindgen::prelude::*;
use worker::web_sys;

#[wasm_bindgen(wasm_bindgen = worker::wasm_bindgen, module = "/src/adapters/bridge.js")]
extern "C" {
    pub(super) type HeadReader;

    #[wasm_bindgen(constructor)]
    pub(super) fn new(names: &str) -> HeadReader;

    #[wasm_bindgen(method, catch)]
    pub(super) fn read(this: &HeadReader, request: &web_sys::Request) -> Result<String, JsValue>;

    pub(super) type BodyReader;

    #[wasm_bindgen(catch, js_name = readerOf)]
    pub(super) fn reader_of(request: &web_sys::Request) -> Result<Option<BodyReader>, JsValue>;

    #[wasm_bindgen(method)]
    pub(super) fn next(this: &BodyReader) -> Promise;

    #[wasm_bindgen(method)]
    pub(super) fn discard(this: &BodyReader, max_bytes: f64, max_millis: f64) -> Promise;

    #[wasm_bindgen(catch)]
    pub(super) fn put(
        bucket: &JsValue,
        key: &str,
        bytes: &[u8],
        sha256: &[u8],
        metadata: &str,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch)]
    pub(super) fn post(
        url: &str,
        headers: &str,
        body: &[u8],
        signal: &web_sys::AbortSignal,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch)]
    pub(super) fn respond(status: u16, headers: &str, body: &[u8]) -> Result<web_sys::Response, JsValue>;

    #[wasm_bindgen(catch, js_name = respondWhile)]
    pub(super) fn respond_while(
        status: u16,
        headers: &str,
        body: &[u8],
        rest: &Promise,
    ) -> Result<web_sys::Response, JsValue>;
}

/// Names and values in turns, in lines. None of ours holds a line break.
pub(super) fn lines<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut lines = String::new();
    for (name, value) in pairs {
        for part in [name, value] {
            if !lines.is_empty() {
                lines.push('\n');
            }
            lines.push_str(part);
        }
    }
    lines
}

/// The headers that can be read. Those that cannot are as good as not there.
pub(super) fn headers<'a>(mut lines: impl Iterator<Item = &'a str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    headers
}
