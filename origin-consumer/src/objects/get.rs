//! The GET of the hot path: signed by the SDK's own signer, and sent without what the SDK does around a call, which takes as
//! much of the processor as decoding a hundred spans (docs/BENCHMARKS.md has the figures).

use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningError, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::{Bytes, BytesMut};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};

use super::{ObjectError, too_large};
use crate::tls;

/// How long a connection may take, as the SDK has it.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);

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
    /// None where there is no HTTP client to be had; the SDK says why.
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
        let base = format!("{}/{bucket}/", endpoint.trim_end_matches('/'));
        Some(Self { http, base, region: region.to_owned(), credentials })
    }

    /// The bytes of an object that has `max_bytes` at most. `key` needs no escapes. None if it could not be had at once: the
    /// SDK knows when to try again, and what the matter is.
    pub(super) async fn get(&self, key: &str, max_bytes: u64) -> Result<Option<Bytes>, ObjectError> {
        match self.try_get(key, max_bytes).await {
            Ok(object) => object,
            // The SDK would take as long again.
            Err(Failed::Http(error)) if error.is_timeout() && !error.is_connect() => {
                Err(ObjectError::Transient("s3 did not send the object in time".to_owned()))
            }
            Err(_) => Ok(None),
        }
    }

    async fn try_get(&self, key: &str, max_bytes: u64) -> Result<Result<Option<Bytes>, ObjectError>, Failed> {
        let url = format!("{}{key}", self.base);
        let mut request = self.http.get(&url);
        for (name, value) in self.signature(&url)? {
            request = request.header(name, value);
        }
        let mut answer = request.send().await?;
        if answer.status() != StatusCode::OK {
            return Ok(Ok(None));
        }
        let announced = answer.content_length().unwrap_or_default();
        if announced > max_bytes {
            return Ok(Err(too_large(max_bytes)));
        }
        let mut bytes = BytesMut::with_capacity(announced as usize);
        while let Some(chunk) = answer.chunk().await? {
            if (bytes.len() + chunk.len()) as u64 > max_bytes {
                return Ok(Err(too_large(max_bytes)));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Ok(Some(bytes.freeze())))
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

/// Why the SDK is asked.
enum Failed {
    Unsigned,
    Http(reqwest::Error),
}

impl From<SigningError> for Failed {
    fn from(_: SigningError) -> Self {
        Self::Unsigned
    }
}

impl From<reqwest::Error> for Failed {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error)
    }
}

#[cfg(test)]
mod tests;
