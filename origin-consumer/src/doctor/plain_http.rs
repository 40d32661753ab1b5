//! What the ingress answers without TLS: a redirect is taken for success by some exporters.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Response, Url};

use super::finding::{Finding, Level};
use super::redirects::{REMEDY, WHY};
use crate::cloudflare::{ApiError, client, printable};
use crate::keys::EdgeConfig;

const CODE: &str = "plain_http";

/// Sends an export of nothing, without a key, to `http://HOST/v1/traces`, and follows no redirect.
pub(super) async fn examine(edge: &EdgeConfig) -> Option<Finding> {
    let url = plain(&edge.url)?;
    let client = client(Duration::from_secs(edge.timeout_seconds)).ok()?;
    let request = client.post(url.clone()).header(CONTENT_TYPE, "application/json").body("{}");
    let is_configured = edge.url.starts_with("http://");
    Some(match request.send().await {
        Ok(response) => judge(&url, &response, is_configured),
        Err(error) => Finding::ok(CODE, format!("{url} is not served: {}", ApiError::from(error))),
    })
}

/// Where an exporter sends whose endpoint has the host of `edge_url`, and no TLS.
fn plain(edge_url: &str) -> Option<Url> {
    let mut url: Url = format!("{}/v1/traces", edge_url.trim_end_matches('/')).parse().ok()?;
    if url.scheme() == "https" {
        url.set_scheme("http").and_then(|()| url.set_port(None)).ok()?;
    }
    Some(url)
}

fn judge(url: &Url, response: &Response, is_configured: bool) -> Finding {
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).map(printable);
        let to = to.map(|to| format!(", to {to}")).unwrap_or_default();
        let level = if is_configured { Level::Fault } else { Level::Warning };
        let what = format!("what is sent to {url} is answered {status}{to}");
        return Finding { level, ..Finding::fault(CODE, what, WHY, REMEDY) };
    }
    let what = format!("what is sent to {url} without a key is answered {status}, and not with a redirect");
    match url.host_str() {
        Some("127.0.0.1" | "localhost" | "[::1]") => Finding::ok(CODE, what),
        _ => Finding::note(CODE, what, "keys and spans that are sent there are not encrypted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(url: &str, status: u16, is_configured: bool) -> Finding {
        let answer = axum::http::Response::builder().status(status);
        let answer = answer.header(LOCATION, "https://ingest.example.com/v1/traces").body("").unwrap();
        judge(&url.parse().unwrap(), &answer.into(), is_configured)
    }

    #[test]
    fn a_redirect_is_named_with_what_it_does_to_exporters() {
        for status in [301, 302, 307, 308] {
            for (is_configured, level) in [(true, Level::Fault), (false, Level::Warning)] {
                let found = judged("http://ingest.example.com/v1/traces", status, is_configured);
                assert_eq!(found.level, level);
                let whole = format!("{found:?}");
                for named in
                    ["http://ingest.example.com/v1/traces is answered", "to https://ingest", "Python"]
                {
                    assert!(whole.contains(named) && whole.contains(&status.to_string()), "{whole}");
                }
            }
        }
        assert_eq!(judged("http://ingest.example.com/v1/traces", 401, true).level, Level::Note);
        assert_eq!(judged("http://127.0.0.1:4318/v1/traces", 401, true).level, Level::Ok);
    }

    #[test]
    fn the_port_is_that_of_http_where_the_edge_has_tls() {
        for (edge, asked) in [
            ("https://ingest.example.com/", "http://ingest.example.com/v1/traces"),
            ("https://ingest.example.com:8443", "http://ingest.example.com/v1/traces"),
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ] {
            assert_eq!(plain(edge).unwrap().as_str(), asked);
        }
    }
}
