//! R2, by its S3 interface.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::{BuildError, DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, tls};
use bytes::{Bytes, BytesMut};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use spillway_proto::ObjectKey;

use super::describe::Kept;
use super::get::Getter;
use super::{Listed, ObjectError, Page, too_large};
use crate::config::{ConfigError, in_range, is_set, is_url};

/// S3 lists no more at once, and deletes no more at once.
const MAX_KEYS: usize = 1_000;

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

/// A bucket; cheap to clone.
#[derive(Clone)]
pub struct Bucket {
    client: Client,
    getter: Option<Getter>,
    name: String,
}

impl Bucket {
    /// A client for the configured bucket; nothing is sent yet.
    pub fn new(config: &S3Config) -> Self {
        let secret = config.secret_access_key.expose_secret();
        let http = Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https();
        let timeout = Duration::from_secs(config.timeout_seconds);
        let timeouts = TimeoutConfig::builder().operation_timeout(timeout).build();
        let credentials = Credentials::new(&config.access_key_id, secret, None, None, "configuration");
        let S3Config { endpoint, bucket, region, .. } = config;
        let getter = Getter::new(endpoint, bucket, region, credentials.clone(), timeout);
        let s3 = aws_sdk_s3::Config::builder()
            .http_client(http)
            // The SDK glues the bucket to an endpoint's path that does not end with a slash.
            .endpoint_url(format!("{}/", config.endpoint.trim_end_matches('/')))
            .region(Region::new(config.region.clone()))
            .credentials_provider(credentials)
            .force_path_style(true)
            .retry_config(RetryConfig::standard())
            .timeout_config(timeouts)
            // What is read is checked by its SHA-256; trailing checksums are not for every S3.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        Self { client: Client::from_conf(s3), getter, name: config.bucket.clone() }
    }

    /// The objects after `after` whose keys begin with `prefix`, in the order of keys: `limit` at most, and no more than
    /// 1,000.
    pub async fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Page, ObjectError> {
        let limit = i32::try_from(limit.min(MAX_KEYS)).unwrap_or(i32::MAX);
        let listing = self.client.list_objects_v2().bucket(&self.name).prefix(prefix).max_keys(limit);
        let listing = listing.set_start_after((!after.is_empty()).then(|| after.to_owned()));
        let listing = listing.send().await.map_err(failed)?;
        let listed = |object: &aws_sdk_s3::types::Object| {
            let bytes = object.size().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default();
            Some(Listed { key: object.key()?.to_owned(), bytes })
        };
        let objects = listing.contents().iter().filter_map(listed).collect();
        Ok(Page { objects, more: listing.is_truncated().unwrap_or_default() })
    }

    /// What is kept of an object beside its content.
    pub(super) async fn head(&self, key: &str) -> Result<Kept, ObjectError> {
        let head = self.client.head_object().bucket(&self.name).key(key).send().await.map_err(failed)?;
        let bytes = head.content_length().and_then(|bytes| u64::try_from(bytes).ok());
        let bytes =
            bytes.ok_or_else(|| ObjectError::Transient("s3 did not tell the object's size".to_owned()))?;
        Ok(Kept { bytes, metadata: head.metadata.unwrap_or_default() })
    }

    /// Whether there is such an object.
    pub async fn has(&self, key: &str) -> Result<bool, ObjectError> {
        match self.head(key).await {
            Ok(_) => Ok(true),
            Err(ObjectError::Poison(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The bytes of an object of the edge's that has `max_bytes` at most.
    pub(super) async fn get(&self, key: &ObjectKey, max_bytes: u64) -> Result<Bytes, ObjectError> {
        let key = key.to_string();
        if let Some(getter) = &self.getter
            && let Some(object) = getter.get(&key, max_bytes).await?
        {
            return Ok(object);
        }
        self.read(&key, max_bytes).await
    }

    /// The bytes of something that has `max_bytes` at most.
    pub async fn read(&self, key: &str, max_bytes: u64) -> Result<Bytes, ObjectError> {
        let answer = self.client.get_object().bucket(&self.name).key(key).send().await.map_err(failed)?;
        let (mut body, mut bytes) = (answer.body, BytesMut::new());
        while let Some(chunk) = body.next().await {
            let chunk =
                chunk.map_err(|error| ObjectError::Transient(format!("the object broke off: {error}")))?;
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > max_bytes {
                return Err(too_large(max_bytes));
            }
        }
        Ok(bytes.freeze())
    }

    /// Stores an object, in the place of one that is there.
    pub async fn put(&self, key: &str, bytes: Bytes, content_type: &str) -> Result<(), ObjectError> {
        let put = self.client.put_object().bucket(&self.name).key(key).content_type(content_type);
        put.body(bytes.into()).send().await.map_err(failed)?;
        Ok(())
    }

    /// Stores an object, with what is to be kept beside it.
    pub(super) async fn put_described(
        &self,
        key: &str,
        bytes: Bytes,
        metadata: HashMap<String, String>,
    ) -> Result<(), ObjectError> {
        let put = self.client.put_object().bucket(&self.name).key(key).set_metadata(Some(metadata));
        put.content_type("application/octet-stream").body(bytes.into()).send().await.map_err(failed)?;
        Ok(())
    }

    /// Copies an object within the bucket, with what is kept beside it.
    pub async fn copy(&self, from: &str, to: &str) -> Result<(), ObjectError> {
        let copy = self.client.copy_object().bucket(&self.name).key(to);
        copy.copy_source(encoded(&format!("{}/{from}", self.name))).send().await.map_err(failed)?;
        Ok(())
    }

    /// Deletes objects; one that is not there is no error. Of those of a call that failed, some may be gone.
    pub async fn delete(&self, keys: &[String]) -> Result<(), ObjectError> {
        for keys in keys.chunks(MAX_KEYS) {
            let keys = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build());
            let keys = keys.collect::<Result<_, _>>().map_err(unbuilt)?;
            let delete = Delete::builder().set_objects(Some(keys)).quiet(true).build().map_err(unbuilt)?;
            let delete = self.client.delete_objects().bucket(&self.name).delete(delete);
            let answer = delete.send().await.map_err(failed)?;
            if let Some(error) = answer.errors().first() {
                let (key, code) = (error.key().unwrap_or("an object"), error.code());
                let code = code.unwrap_or("without a code");
                return Err(ObjectError::Transient(format!("s3 did not delete {key}: {code}")));
            }
        }
        Ok(())
    }
}

/// As the header of a copy wants it, which the SDK takes as it is.
fn encoded(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

fn unbuilt(error: BuildError) -> ObjectError {
    ObjectError::Poison(error.to_string())
}

/// R2 reads are consistent, so an object that is not there was deleted. All else may pass. Short where S3 has answered, and
/// with all its causes where nobody has.
fn failed<E: ProvideErrorMetadata + std::error::Error + 'static>(error: SdkError<E>) -> ObjectError {
    let status = error.raw_response().map(|response| response.status().as_u16());
    match (error.as_service_error().map(ProvideErrorMetadata::code), status) {
        (Some(Some("NoSuchKey" | "NotFound")), _) => {
            ObjectError::Poison("the object is not in the bucket".to_owned())
        }
        (Some(code), Some(status)) => {
            ObjectError::Transient(format!("s3 answered {status}, {}", code.unwrap_or("without a code")))
        }
        _ => ObjectError::Transient(DisplayErrorContext(error).to_string()),
    }
}
