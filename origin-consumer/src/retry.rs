//! Calls to others that may be made again: whoever asks does so a few times, and as late as the other asks for.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};

use crate::time::backoff;

/// How often a call is made.
const TRIES: u32 = 4;
/// Whoever asks for a longer wait is not waited for: a person sits before the command.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Sends what `request` makes until there is an answer that another try would not change. The last answer is returned,
/// whatever its status.
pub(crate) async fn send(request: impl Fn() -> RequestBuilder) -> Result<Response, reqwest::Error> {
    let mut failures = 0;
    loop {
        let outcome = request().send().await;
        let Some(wait) = wait(&outcome, failures) else { return outcome };
        failures += 1;
        tracing::debug!(failures, ?wait, "a call did not succeed; it is made again");
        tokio::time::sleep(wait).await;
    }
}

/// How long to wait before the next try, if there shall be one.
fn wait(outcome: &Result<Response, reqwest::Error>, failures: u32) -> Option<Duration> {
    if failures + 1 >= TRIES {
        return None;
    }
    let asked = match outcome {
        Ok(response) if is_passing(response.status()) => retry_after(response.headers()),
        Ok(_) => return None,
        // What cannot even be sent will not be sent by the next try.
        Err(error) if error.is_builder() => return None,
        Err(_) => None,
    };
    let wait = asked.unwrap_or_else(|| backoff(failures));
    (wait <= LONGEST_WAIT).then_some(wait)
}

fn is_passing(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// When to come back, as Cloudflare sends it, in seconds; a date is not understood, and our own backoff takes its place.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<&str>) -> Result<Response, reqwest::Error> {
        let mut answer = axum::http::Response::builder().status(status);
        if let Some(value) = retry_after {
            answer = answer.header("retry-after", value);
        }
        Ok(answer.body("").unwrap().into())
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_as_late_as_asked() {
        for (status, asked, expected) in [
            (200, None, None),
            (403, None, None),
            (404, Some("1"), None),
            (429, None, Some(500)),
            (429, Some("3"), Some(3000)),
            (429, Some("300"), None),
            (503, Some("soon"), Some(500)),
            (501, None, None),
        ] {
            let expected = expected.map(Duration::from_millis);
            assert_eq!(wait(&answer(status, asked), 0), expected, "{status} {asked:?}");
        }
        assert_eq!(wait(&answer(500, None), 2), Some(Duration::from_secs(2)));
        assert_eq!(wait(&answer(500, None), 3), None);
    }
}
