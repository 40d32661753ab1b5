//! Step d: fetch an object, and check that it is what the edge stored.

use bytes::Bytes;
use spillway_proto::Sha256Digest;
use spillway_proto::notification::Notification;

use crate::objects::{ObjectError, Objects};

impl Objects {
    /// The bytes of the object that `notification` names.
    pub async fn fetch(&self, notification: &Notification) -> Result<Bytes, ObjectError> {
        if notification.bytes > self.max_object_bytes() {
            return Err(ObjectError::Poison(format!(
                "the object has {} bytes, s3.max_object_bytes is {}",
                notification.bytes,
                self.max_object_bytes()
            )));
        }
        let bytes = self.read(&notification.object_key, notification.bytes).await?;
        if Sha256Digest::of(&bytes) != notification.sha256 {
            return Err(ObjectError::Poison(
                "the object's digest is not the one it was stored with".to_owned(),
            ));
        }
        Ok(bytes)
    }
}
