//! The GET of the hot path: signed by the SDK's own signer, and sent without what the SDK does around a call, which takes
//! about as much of the processor as decoding a hundred spans.

use std::sync::Once;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningError, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::{Bytes, BytesMut};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};

use super::{ObjectError, too_large};
use crate::tls;

/// How long a connection may take, as the SDK has it.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);

/// That this way does not work is said once.
static TOLD: Once = Once::new();

/// Gets objects of a bucket; cheap to clone.
#[derive(Clone)]
pub(super) struct Getter {
    http: Client,
    /// The endpoint and the bucket, with a slash at the end.
    base: String,
    region: String,
    credentials: Credentials,
}

impl Getter {
    /// None where there is no such URL or no HTTP client to be had; the SDK says why.
    pub(super) fn new(
        endpoint: &str,
        bucket: &str,
        region: &str,
        credentials: Credentials,
        timeout: Duration,
    ) -> Option<Self> {
        tls::choose_provider();
        let http = Client::builder().timeout(timeout).connect_timeout(CONNECT_TIMEOUT);
        let http = http.redirect(Policy::none()).no_proxy().build().ok()?;
        // As it is sent: what is signed is what the server sees.
        let base = Url::parse(&format!("{}/{bucket}/", endpoint.trim_end_matches('/'))).ok()?;
        Some(Self { http, base: base.into(), region: region.to_owned(), credentials })
    }

    /// The bytes of an object that has `max_bytes` at most. `key` needs no escapes. None if it could not be had so: the SDK knows
    /// what the matter is.
    pub(super) async fn get(&self, key: &str, max_bytes: u64) -> Result<Option<Bytes>, ObjectError> {
        match self.try_get(key, max_bytes).await {
            Ok(object) => Ok(Some(object)),
            Err(Failed::TooLarge) => Err(too_large(max_bytes)),
            // The SDK would take as long again.
            Err(Failed::Http(error)) if error.is_timeout() && !error.is_connect() => {
                Err(ObjectError::Transient("s3 did not send the object in time".to_owned()))
            }
            // Who is asked too often is not to be asked again at once; the consumer waits before it does.
            Err(Failed::Status(status)) if is_busy(status) => {
                Err(ObjectError::Transient(format!("s3 answered {}", status.as_u16())))
            }
            Err(failed) => {
                if !matches!(failed, Failed::Status(StatusCode::NOT_FOUND)) {
                    TOLD.call_once(|| tracing::warn!(key, %failed, "objects are asked for by the SDK, which takes longer"));
                }
                Ok(None)
            }
        }
    }

    async fn try_get(&self, key: &str, max_bytes: u64) -> Result<Bytes, Failed> {
        let url = format!("{}{key}", self.base);
        let mut request = self.http.get(&url);
        for (name, value) in self.signature(&url)? {
            request = request.header(name, value);
        }
        let mut answer = request.send().await?;
        if answer.status() != StatusCode::OK {
            return Err(Failed::Status(answer.status()));
        }
        let announced = answer.content_length().unwrap_or_default();
        if announced > max_bytes {
            return Err(Failed::TooLarge);
        }
        let mut bytes = BytesMut::with_capacity(announced as usize);
        while let Some(chunk) = answer.chunk().await? {
            if (bytes.len() + chunk.len()) as u64 > max_bytes {
                return Err(Failed::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    /// The headers that say who asks, <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>.
    fn signature(&self, url: &str) -> Result<Vec<(String, String)>, Failed> {
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|_| Failed::Unsigned)?
            .into();
        let request = SignableRequest::new("GET", url, std::iter::empty(), SignableBody::Bytes(&[]))?;
        let (instructions, _) = sign(request, &params)?.into_parts();
        Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

fn is_busy(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Why an object was not had.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("it is too large")]
    TooLarge,
    #[error("the request cannot be signed")]
    Unsigned,
    #[error("s3 answered {0}")]
    Status(StatusCode),
    #[error("{0}")]
    Http(#[from] reqwest::Error),
}

impl From<SigningError> for Failed {
    fn from(_: SigningError) -> Self {
        Self::Unsigned
    }
}

#[cfg(test)]
mod tests;
