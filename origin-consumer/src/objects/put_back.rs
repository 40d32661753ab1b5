//! Objects of a folder that the bucket has no more, back into it.

use spillway_proto::Sha256Digest;
use spillway_proto::notification::Notification;

use super::describe::metadata_of;
use super::{Bucket, ObjectError, Objects};

impl Bucket {
    /// Puts an object that `folder` has into the bucket, where there is none of its key. What is there is left as it is; an
    /// error where the edge has noted another digest of it, since then the folder's copy is not what was stored.
    pub async fn put_back(&self, object: &Notification, folder: &Objects) -> Result<(), ObjectError> {
        let key = object.object_key.to_string();
        match self.head(&key).await {
            Ok(kept) => match kept.metadata.get("sha256").map(|digest| digest.parse::<Sha256Digest>()) {
                Some(Ok(digest)) if digest != object.sha256 => Err(ObjectError::Poison(
                    "the folder's copy is not what the bucket has: their digests differ".to_owned(),
                )),
                _ => Ok(()),
            },
            // Nothing but its absence is that.
            Err(ObjectError::Poison(_)) => {
                let bytes = folder.fetch(object).await?;
                self.put_described(&key, bytes, metadata_of(object)).await
            }
            Err(error) => Err(error),
        }
    }
}
