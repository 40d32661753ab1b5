//! Step d: fetch an object from R2, and check that it is what the edge stored.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Credentials, Region};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, tls};
use bytes::{Bytes, BytesMut};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use spillway_proto::notification::Notification;
use spillway_proto::{ObjectKey, Sha256Digest};

use crate::config::{ConfigError, in_range, is_set, is_url};

/// `[s3]`: R2, by its S3 interface.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3Config {
    /// `https://ACCOUNT.r2.cloudflarestorage.com`. Required.
    pub endpoint: String,
    /// R2 has one region, `auto`.
    pub region: String,
    /// The bucket that the edge writes to.
    pub bucket: String,
    /// Of a token that may read the bucket. Required.
    pub access_key_id: String,
    /// Required.
    pub secret_access_key: SecretString,
    /// The largest object that is fetched, in bytes; a larger one is set aside. The edge writes none above 100 MiB.
    pub max_object_bytes: u64,
    /// The time that one object may take, in seconds, tries included.
    pub timeout_seconds: u64,
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            region: "auto".to_owned(),
            bucket: "spillway".to_owned(),
            access_key_id: String::new(),
            secret_access_key: SecretString::default(),
            max_object_bytes: 128 << 20,
            timeout_seconds: 60,
        }
    }
}

impl S3Config {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        is_url("s3.endpoint", &self.endpoint)?;
        is_set("s3.region", &self.region)?;
        is_set("s3.bucket", &self.bucket)?;
        is_set("s3.access_key_id", &self.access_key_id)?;
        is_set("s3.secret_access_key", self.secret_access_key.expose_secret())?;
        in_range("s3.max_object_bytes", self.max_object_bytes, 1..=1 << 30)?;
        in_range("s3.timeout_seconds", self.timeout_seconds, 1..=3600)
    }
}

/// An object could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Another try may succeed.
    #[error("{0}")]
    Transient(String),
    /// The object is gone, or is not what was stored: no try will change that.
    #[error("{0}")]
    Poison(String),
}

/// Where objects are fetched from.
#[derive(Clone)]
pub struct Objects {
    client: Client,
    bucket: String,
    max_bytes: u64,
}

impl Objects {
    /// A client for the bucket; nothing is sent yet.
    pub fn new(config: &S3Config) -> Self {
        let secret = config.secret_access_key.expose_secret();
        let http = Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https();
        let timeouts =
            TimeoutConfig::builder().operation_timeout(Duration::from_secs(config.timeout_seconds)).build();
        let s3 = aws_sdk_s3::Config::builder()
            .http_client(http)
            // The SDK glues the bucket to an endpoint's path that does not end with a slash.
            .endpoint_url(format!("{}/", config.endpoint.trim_end_matches('/')))
            .region(Region::new(config.region.clone()))
            .credentials_provider(Credentials::new(
                &config.access_key_id,
                secret,
                None,
                None,
                "configuration",
            ))
            .force_path_style(true)
            .retry_config(RetryConfig::standard())
            .timeout_config(timeouts)
            .build();
        Self {
            client: Client::from_conf(s3),
            bucket: config.bucket.clone(),
            max_bytes: config.max_object_bytes,
        }
    }

    /// The bytes of the object that `notification` names.
    pub async fn fetch(&self, notification: &Notification) -> Result<Bytes, FetchError> {
        if notification.bytes > self.max_bytes {
            return Err(FetchError::Poison(format!(
                "the object has {} bytes, s3.max_object_bytes is {}",
                notification.bytes, self.max_bytes
            )));
        }
        let key = notification.object_key.to_string();
        let answer = self.client.get_object().bucket(&self.bucket).key(key).send().await.map_err(classify)?;
        let bytes = self.read(answer.body, notification.bytes).await?;
        if Sha256Digest::of(&bytes) != notification.sha256 {
            return Err(FetchError::Poison(
                "the object's digest is not the one it was stored with".to_owned(),
            ));
        }
        Ok(bytes)
    }

    /// The keys that come after `after`, in order; none at the end. At most 1,000.
    pub async fn list_after(&self, after: &str) -> Result<Vec<String>, FetchError> {
        let listing = self.client.list_objects_v2().bucket(&self.bucket).prefix("v1/").start_after(after);
        let listing = listing.send().await.map_err(transient)?;
        Ok(listing.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect())
    }

    /// What the edge would have notified of an object, from what R2 keeps beside it.
    pub async fn describe(&self, key: &ObjectKey) -> Result<Notification, FetchError> {
        let head = self.client.head_object().bucket(&self.bucket).key(key.to_string());
        let head = head.send().await.map_err(transient)?;
        let kept = |name: &str| head.metadata().and_then(|metadata| metadata.get(name)).map(String::as_str);
        let missing = |name: &str| FetchError::Poison(format!("its metadata `{name}` is missing or wrong"));
        let bytes = head.content_length().and_then(|bytes| u64::try_from(bytes).ok());
        let bytes =
            bytes.ok_or_else(|| FetchError::Transient("s3 did not tell the object's size".to_owned()))?;
        Ok(Notification {
            object_key: key.clone(),
            tenant: kept("tenant").and_then(|tenant| tenant.parse().ok()).ok_or_else(|| missing("tenant"))?,
            bytes,
            payload_bytes: kept("payload-bytes")
                .and_then(|bytes| bytes.parse().ok())
                .ok_or_else(|| missing("payload-bytes"))?,
            sha256: kept("sha256").and_then(|digest| digest.parse().ok()).ok_or_else(|| missing("sha256"))?,
            received_at_unix_ms: key.received_at(),
            // R2 tells to the second when it had the object; it cannot have been earlier than this.
            stored_at_unix_ms: key.received_at(),
            trace_context: kept("traceparent")
                .and_then(|header| header.parse().ok())
                .ok_or_else(|| missing("traceparent"))?,
            parent_span_id: None,
            edge_reports_span: false,
        })
    }

    async fn read(
        &self,
        mut body: aws_sdk_s3::primitives::ByteStream,
        announced: u64,
    ) -> Result<Bytes, FetchError> {
        let mut bytes = BytesMut::new();
        while let Some(chunk) = body.next().await {
            let chunk =
                chunk.map_err(|error| FetchError::Transient(format!("the object broke off: {error}")))?;
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > announced {
                return Err(FetchError::Poison(format!(
                    "the object is larger than the {announced} bytes stored"
                )));
            }
        }
        Ok(bytes.freeze())
    }
}

/// R2 reads are consistent, so an object that is not there was deleted. All else may pass.
fn classify(error: SdkError<GetObjectError>) -> FetchError {
    match error.as_service_error() {
        Some(service) if service.is_no_such_key() => {
            FetchError::Poison("the object is not in the bucket".to_owned())
        }
        _ => transient(error),
    }
}

/// Short where S3 has answered, and with all its causes where nobody has.
fn transient<E: ProvideErrorMetadata + std::error::Error + 'static>(error: SdkError<E>) -> FetchError {
    let status = error.raw_response().map(|response| response.status().as_u16());
    FetchError::Transient(match (error.as_service_error(), status) {
        (Some(service), Some(status)) => {
            format!("s3 answered {status}, {}", service.code().unwrap_or("without a code"))
        }
        _ => DisplayErrorContext(error).to_string(),
    })
}
