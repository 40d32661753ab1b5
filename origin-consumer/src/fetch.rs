//! Step d: fetch an object, and check that it is what the edge stored.

use bytes::Bytes;
use spillway_proto::Sha256Digest;
use spillway_proto::notification::Notification;

pub use crate::objects::{ObjectError as FetchError, Objects, S3Config};

impl Objects {
    /// The bytes of the object that `notification` names.
    pub async fn fetch(&self, notification: &Notification) -> Result<Bytes, FetchError> {
        if notification.bytes > self.max_object_bytes() {
            return Err(FetchError::Poison(format!(
                "the object has {} bytes, s3.max_object_bytes is {}",
                notification.bytes,
                self.max_object_bytes()
            )));
        }
        let bytes = self.read(&notification.object_key, notification.bytes).await?;
        if Sha256Digest::of(&bytes) != notification.sha256 {
            return Err(FetchError::Poison(
                "the object's digest is not the one it was stored with".to_owned(),
            ));
        }
        Ok(bytes)
    }

    /// The keys that come after `after`, in order; none at the end. At most 1,000.
    pub async fn list_after(&self, after: &str) -> Result<Vec<String>, FetchError> {
        let page = self.list("v1/", after, 1_000).await?;
        Ok(page.objects.into_iter().map(|object| object.key).collect())
    }
}
