//! Cloudflare's API: where it is, who asks, and how its answers are read. How often it is asked is for whoever asks.
//!
//! <https://developers.cloudflare.com/fundamentals/api/>

use std::fmt;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::config::{ConfigError, in_range, is_id, is_set, is_url};
use crate::retry::retry_after;

/// How much is shown of what the API says of an error, in characters.
const DETAIL_CHARS: usize = 300;

/// `[cloudflare]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CloudflareConfig {
    /// The API.
    pub api_url: String,
    /// The account's id, 32 hex digits. Required by `keys`, and with `queue_pull.queue_id`.
    pub account_id: String,
    /// The id of the KV namespace that the edge has as `KEYS`, 32 hex digits. Required by `keys`.
    pub kv_namespace_id: String,
    /// A token with the account permission Workers KV Storage Edit, and no other. Required by `keys`.
    pub api_token: SecretString,
    /// For one request of `keys` or `doctor`, in seconds.
    pub timeout_seconds: u64,
    /// The id of the zone that exporters send to, 32 hex digits. Required by `doctor`.
    pub zone_id: String,
    /// The zone's name, such as `example.com`. The doctor asks for it where it is empty and the token may.
    pub zone_name: String,
    /// The Worker's name.
    pub worker: String,
    /// `NOTIFY_URL`, for a doctor that may not read the Worker's settings. Else what the Worker says.
    pub notify_url: String,
    /// Whether the Worker is meant to have this compatibility flag.
    pub global_fetch_strictly_public: bool,
    /// A token that may only read what the doctor reads; where it is empty, `api_token` is used.
    pub doctor_token: SecretString,
}

impl Default for CloudflareConfig {
    fn default() -> Self {
        Self {
            api_url: "https://api.cloudflare.com/client/v4".to_owned(),
            account_id: String::new(),
            kv_namespace_id: String::new(),
            api_token: SecretString::default(),
            timeout_seconds: 10,
            zone_id: String::new(),
            zone_name: String::new(),
            worker: "spillway-edge-ingest".to_owned(),
            notify_url: String::new(),
            global_fetch_strictly_public: false,
            doctor_token: SecretString::default(),
        }
    }
}

impl CloudflareConfig {
    /// Whether the account can be asked for.
    pub(crate) fn check_account(&self) -> Result<(), ConfigError> {
        is_url("cloudflare.api_url", &self.api_url)?;
        is_id("cloudflare.account_id", &self.account_id)
    }

    /// Whether its KV can be written.
    pub(crate) fn check_kv(&self) -> Result<(), ConfigError> {
        self.check_account()?;
        is_id("cloudflare.kv_namespace_id", &self.kv_namespace_id)?;
        is_set("cloudflare.api_token", self.api_token.expose_secret())?;
        in_range("cloudflare.timeout_seconds", self.timeout_seconds, 1..=120)
    }

    /// Whether its zone can be examined.
    pub(crate) fn check_zone(&self) -> Result<(), ConfigError> {
        self.check_account()?;
        is_id("cloudflare.zone_id", &self.zone_id)?;
        is_set("cloudflare.worker", &self.worker)?;
        if !self.notify_url.is_empty() {
            is_url("cloudflare.notify_url", &self.notify_url)?;
        }
        is_set("cloudflare.doctor_token", self.doctor_token().expose_secret())?;
        in_range("cloudflare.timeout_seconds", self.timeout_seconds, 1..=120)
    }

    /// The token that the doctor asks with.
    pub(crate) fn doctor_token(&self) -> &SecretString {
        if self.doctor_token.expose_secret().is_empty() { &self.api_token } else { &self.doctor_token }
    }
}

/// The API did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// It refused.
    #[error("it answered {status}: {}", detail(.problems))]
    Refused {
        /// The answer's status.
        status: StatusCode,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
        /// What it says of it; nothing if something on the way to it answered instead.
        problems: Vec<Problem>,
    },
    /// Its answer is larger than any that it should give to this.
    #[error("its answer is larger than {0} bytes")]
    TooLarge(usize),
    /// Its answer is not what the schema says.
    #[error("its answer cannot be read: {0}")]
    Unreadable(serde_json::Error),
    /// It gave no answer, or broke off.
    #[error("it gave no answer: {}", with_causes(.0))]
    NoAnswer(reqwest::Error),
}

impl ApiError {
    /// Whether the API gives `code` as its reason.
    pub fn has_code(&self, code: u64) -> bool {
        match self {
            Self::Refused { problems, .. } => problems.iter().any(|problem| problem.code == code),
            Self::TooLarge(_) | Self::Unreadable(_) | Self::NoAnswer(_) => false,
        }
    }

    /// With which it refused.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::TooLarge(_) | Self::Unreadable(_) | Self::NoAnswer(_) => None,
        }
    }

    /// When it wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::TooLarge(_) | Self::Unreadable(_) | Self::NoAnswer(_) => None,
        }
    }

    /// Whether the token is not good for what was asked for.
    pub fn is_denied(&self) -> bool {
        self.status().is_some_and(is_denied)
    }
}

impl From<reqwest::Error> for ApiError {
    fn from(error: reqwest::Error) -> Self {
        Self::NoAnswer(error.without_url())
    }
}

/// What an answer says that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// Cloudflare's number for it.
    pub code: u64,
    /// For people.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.message)
    }
}

/// What every answer but a value of KV is wrapped in.
#[derive(Deserialize)]
struct Envelope<T> {
    success: bool,
    #[serde(default)]
    errors: Vec<Problem>,
    result: Option<T>,
    result_info: Option<ResultInfo>,
}

/// Where a list goes on.
#[derive(Debug, Default, Deserialize)]
pub struct ResultInfo {
    /// What to ask for next; nothing or an empty text at the end.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// What a call was answered with.
#[derive(Debug)]
pub struct Answer<T> {
    /// What was asked for.
    pub result: Option<T>,
    /// Where it goes on.
    pub info: ResultInfo,
}

/// A client for one account and its zones, with one token.
pub struct Cloudflare {
    client: Client,
    account: Url,
    zones: Url,
    token: SecretString,
}

impl Cloudflare {
    /// The client of the configured API, and of no other URL: the token goes there only.
    pub fn new(
        config: &CloudflareConfig,
        token: &SecretString,
        timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        let client = client(timeout)?;
        let api = config.api_url.trim_end_matches('/');
        let account = client.get(format!("{api}/accounts/{}", config.account_id)).build()?.url().clone();
        let zones = client.get(format!("{api}/zones")).build()?.url().clone();
        Ok(Self { client, account, zones, token: token.clone() })
    }

    /// A URL below the account's. Each part of the path is one, whatever it holds.
    pub fn url(&self, path: &[&str]) -> Url {
        below(&self.account, path)
    }

    /// The same below a zone's.
    pub fn zone_url(&self, zone_id: &str, path: &[&str]) -> Url {
        below(&below(&self.zones, &[zone_id]), path)
    }

    /// A request with the token.
    pub fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        self.client.request(method, url.clone()).bearer_auth(self.token.expose_secret())
    }
}

fn below(url: &Url, path: &[&str]) -> Url {
    let mut url = url.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.extend(path);
    }
    url
}

/// A client that waits for one answer no longer than `timeout`.
pub(crate) fn client(timeout: Duration) -> Result<Client, reqwest::Error> {
    Client::builder()
        .timeout(timeout)
        // What is sent is for whom it was addressed to, and for nobody else.
        .redirect(Policy::none())
        .user_agent(concat!("spillway/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Opens the envelope of an answer that has at most so many bytes.
pub(crate) async fn open<T: DeserializeOwned>(
    response: Response,
    max_bytes: usize,
) -> Result<Answer<T>, ApiError> {
    let (status, retry_after) = (response.status(), retry_after(response.headers()));
    let body = value(response, max_bytes).await?;
    let envelope: Envelope<T> = serde_json::from_slice(&body).map_err(ApiError::Unreadable)?;
    if !envelope.success {
        return Err(ApiError::Refused { status, retry_after, problems: envelope.errors });
    }
    Ok(Answer { result: envelope.result, info: envelope.result_info.unwrap_or_default() })
}

/// As [`open`], for an answer whose success comes in no envelope.
pub(crate) async fn value(response: Response, max_bytes: usize) -> Result<Vec<u8>, ApiError> {
    let (status, retry_after) = (response.status(), retry_after(response.headers()));
    let body = read(response, max_bytes).await?;
    if status.is_success() {
        return Ok(body);
    }
    let envelope = serde_json::from_slice::<Envelope<IgnoredAny>>(&body);
    let problems = envelope.map(|envelope| envelope.errors).unwrap_or_default();
    Err(ApiError::Refused { status, retry_after, problems })
}

/// Reads a body of at most so many bytes.
pub(crate) async fn read(mut response: Response, max_bytes: usize) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > max_bytes {
            return Err(ApiError::TooLarge(max_bytes));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Whether whoever asks is not believed, or may not ask for this.
pub(crate) fn is_denied(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

fn detail(problems: &[Problem]) -> String {
    if problems.is_empty() {
        return "without a reason in the API's form; something on the way to it may have answered".to_owned();
    }
    let problems: Vec<_> = problems.iter().map(Problem::to_string).collect();
    printable(&problems.join("; "))
}

/// What another says, as a terminal may be shown it.
pub(crate) fn printable(said: &str) -> String {
    let plain = said.chars().map(|char| if char.is_control() { ' ' } else { char });
    plain.take(DETAIL_CHARS).collect()
}

/// An error's own words say little without those of its causes.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |said, cause| format!("{said}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> CloudflareConfig {
        CloudflareConfig {
            api_url: "https://api.example/client/v4/".to_owned(),
            account_id: "0123456789abcdef0123456789abcdef".to_owned(),
            kv_namespace_id: "fedcba9876543210fedcba9876543210".to_owned(),
            api_token: "a-secret-token".into(),
            ..CloudflareConfig::default()
        }
    }

    #[test]
    fn a_name_with_a_slash_is_one_part_of_the_path() {
        crate::tls::choose_provider();
        let config = config();
        let cloudflare = Cloudflare::new(&config, &config.api_token, Duration::from_secs(10)).unwrap();
        let url = cloudflare.url(&["storage", "kv", "key/0a?"]);
        let expected =
            "https://api.example/client/v4/accounts/0123456789abcdef0123456789abcdef/storage/kv/key%2F0a%3F";
        assert_eq!(url.as_str(), expected);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_and_the_token_is_not_shown() {
        assert!(config().check_kv().is_ok());
        for (field, change) in [
            (
                "cloudflare.api_url",
                (|config| config.api_url = "nowhere".to_owned()) as fn(&mut CloudflareConfig),
            ),
            ("cloudflare.account_id", |config| config.account_id = String::new()),
            ("cloudflare.account_id", |config| config.account_id = "../other".to_owned()),
            ("cloudflare.kv_namespace_id", |config| config.kv_namespace_id = String::new()),
            ("cloudflare.api_token", |config| config.api_token = SecretString::default()),
            ("cloudflare.timeout_seconds", |config| config.timeout_seconds = 0),
        ] {
            let mut config = config();
            change(&mut config);
            let error = config.check_kv().unwrap_err().to_string();
            assert!(error.contains(field) && !error.contains("a-secret-token"), "{error}");
            assert!(!format!("{config:?}").contains("a-secret-token"));
        }
    }

    async fn opened(status: u16, body: &str) -> Result<Option<u32>, ApiError> {
        let answer = axum::http::Response::builder().status(status).header("retry-after", "7");
        open(answer.body(body.to_owned()).unwrap().into(), 64).await.map(|answer| answer.result)
    }

    #[tokio::test]
    async fn a_refusal_is_one_whatever_the_status_and_tells_when_to_come_back() {
        assert_eq!(opened(200, r#"{"success":true,"result":5}"#).await.unwrap(), Some(5));
        assert_eq!(opened(200, r#"{"success":true,"result":null}"#).await.unwrap(), None);
        let refusal = r#"{"success":false,"errors":[{"code":7,"message":"no"}]}"#;
        for (status, body) in [(200, refusal), (403, refusal), (429, "busy"), (503, "")] {
            let error = opened(status, body).await.unwrap_err();
            assert_eq!(error.status().map(|status| status.as_u16()), Some(status), "{error}");
            assert_eq!(error.retry_after(), Some(Duration::from_secs(7)), "{error}");
            assert_eq!((error.has_code(7), error.is_denied()), (body == refusal, status == 403), "{error}");
        }
        for status in [200, 500] {
            let error = opened(status, &" ".repeat(65)).await.unwrap_err();
            assert!(matches!(error, ApiError::TooLarge(64)) && error.status().is_none(), "{error}");
        }
        assert!(matches!(opened(200, "<html>").await, Err(ApiError::Unreadable(_))));
    }

    #[test]
    fn an_error_says_what_cloudflare_says() {
        let problem = |code, message: &str| Problem { code, message: message.to_owned() };
        let refused =
            |problems| ApiError::Refused { status: StatusCode::FORBIDDEN, retry_after: None, problems };
        let error = refused(vec![problem(10000, "Authentication\u{1b}error"), problem(7, "and more")]);
        assert_eq!(error.to_string(), "it answered 403 Forbidden: 10000 Authentication error; 7 and more");
        assert!(error.has_code(10000) && !error.has_code(10009) && error.is_denied());
        assert!(refused(vec![problem(1, &"x".repeat(2000))]).to_string().len() < 400);
        assert!(refused(Vec::new()).to_string().contains("on the way"));
    }
}
