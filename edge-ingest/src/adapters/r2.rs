//! Objects, in R2.

use worker::Bucket;
use worker::wasm_bindgen_futures::JsFuture;

use super::{bridge, fault};
use crate::ports::{NewObject, ObjectStore, PortError};

pub(super) struct R2Objects(Bucket);

impl R2Objects {
    pub(super) fn new(bucket: Bucket) -> Self {
        Self(bucket)
    }
}

impl ObjectStore for R2Objects {
    async fn put(&self, object: &NewObject) -> Result<(), PortError> {
        let metadata = bridge::lines(object.metadata.iter().map(|(name, value)| (*name, value.as_str())));
        let (key, sha256) = (object.key.to_string(), object.sha256.as_bytes());
        let put = async {
            JsFuture::from(bridge::put(self.0.as_ref(), &key, &object.bytes, sha256, &metadata)?).await
        };
        // Nothing stored means that the key is taken; a key holds 80 random bits, so it is this very object.
        put.await.map(drop).map_err(|error| fault("object store")(worker::Error::from(error)))
    }
}
