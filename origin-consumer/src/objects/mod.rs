//! Where objects lie: R2, by its S3 interface, or a folder that they were copied to.

mod bucket;
mod describe;
mod folder;
mod get;
mod put_back;
#[cfg(test)]
pub(crate) mod samples;

use std::sync::Arc;

use bytes::Bytes;
use spillway_proto::ObjectKey;
use spillway_proto::notification::Notification;

pub use bucket::{Bucket, S3Config};
pub use folder::{Folder, FolderError, PassedOver};

use crate::consume::ConsumerConfig;

/// An object could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// Another try may succeed.
    #[error("{0}")]
    Transient(String),
    /// The object is gone, or is not what was stored: no try will change that.
    #[error("{0}")]
    Poison(String),
}

/// What a listing tells of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key, which need not be one of ours.
    pub key: String,
    /// Its size.
    pub bytes: u64,
}

/// A part of a listing, in the order of keys.
#[derive(Debug, Default)]
pub struct Page {
    /// The objects; none if there are no further ones.
    pub objects: Vec<Listed>,
    /// Whether others follow.
    pub more: bool,
}

/// Where objects are read from; cheap to clone.
#[derive(Clone)]
pub struct Objects {
    source: Source,
    max_object_bytes: u64,
    max_decompressed_bytes: usize,
}

#[derive(Clone)]
enum Source {
    Bucket(Bucket),
    Folder(Arc<Folder>),
}

impl Objects {
    /// Those of the configured bucket; nothing is sent yet.
    pub fn new(config: &S3Config) -> Self {
        Self::of(Source::Bucket(Bucket::new(config)), config.max_object_bytes)
    }

    /// Those of a folder.
    pub fn in_folder(folder: Folder, max_object_bytes: u64) -> Self {
        Self::of(Source::Folder(Arc::new(folder)), max_object_bytes)
    }

    fn of(source: Source, max_object_bytes: u64) -> Self {
        let max_decompressed_bytes = ConsumerConfig::default().max_decompressed_bytes;
        Self { source, max_object_bytes, max_decompressed_bytes }
    }

    /// With another bound for what the payloads of an object that is described from its content grow to.
    pub fn decompressing_to(self, max_decompressed_bytes: usize) -> Self {
        Self { max_decompressed_bytes, ..self }
    }

    /// The largest object that is read, in bytes.
    pub(crate) fn max_object_bytes(&self) -> u64 {
        self.max_object_bytes
    }

    /// The bytes of an object that has `max_bytes` at most.
    pub(crate) async fn read(&self, key: &ObjectKey, max_bytes: u64) -> Result<Bytes, ObjectError> {
        match &self.source {
            Source::Bucket(bucket) => bucket.get(key, max_bytes).await,
            Source::Folder(folder) => folder.read(key, max_bytes).await,
        }
    }

    /// The objects after `after` whose keys begin with `prefix`, in the order of keys: `limit` at most, and no more than
    /// 1,000.
    pub async fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Page, ObjectError> {
        match &self.source {
            Source::Bucket(bucket) => bucket.list(prefix, after, limit).await,
            Source::Folder(folder) => folder.list(prefix, after, limit).await,
        }
    }

    /// What the edge would have notified of an object, from what R2 keeps beside it; where that is missing or wrong, as
    /// for an object that was copied there by hand, from its content.
    pub async fn describe(&self, key: &ObjectKey) -> Result<Notification, ObjectError> {
        if let Source::Bucket(bucket) = &self.source {
            let kept = bucket.head(&key.to_string()).await?;
            if let Some(notification) = describe::from_metadata(key, &kept) {
                return Ok(notification);
            }
            if kept.bytes > self.max_object_bytes {
                return Err(too_large(self.max_object_bytes));
            }
        }
        let bytes = self.read(key, self.max_object_bytes).await?;
        let (key, max_decompressed_bytes) = (key.clone(), self.max_decompressed_bytes);
        blocking(move || describe::from_content(&key, bytes, max_decompressed_bytes)).await
    }
}

/// Does what would keep other tasks waiting in a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ObjectError> + Send + 'static,
) -> Result<T, ObjectError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(ObjectError::Transient(error.to_string())))
}

fn too_large(max_bytes: u64) -> ObjectError {
    ObjectError::Poison(format!("the object is larger than the {max_bytes} bytes that it may have"))
}
