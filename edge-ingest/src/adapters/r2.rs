//! Objects, in R2.

use std::collections::HashMap;

use worker::{Bucket, Conditional};

use super::fault;
use crate::ports::{NewObject, ObjectStore, PortError};

pub(super) struct R2Objects(Bucket);

impl R2Objects {
    pub(super) fn new(bucket: Bucket) -> Self {
        Self(bucket)
    }
}

impl ObjectStore for R2Objects {
    async fn put(&self, object: &NewObject) -> Result<(), PortError> {
        let metadata: HashMap<_, _> =
            object.metadata.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let only_new = Conditional { etag_does_not_match: Some("*".to_owned()), ..Conditional::default() };
        let put = self.0.put(object.key.to_string(), object.bytes.clone());
        let put = put.sha256(*object.sha256.as_bytes()).custom_metadata(metadata).only_if(only_new);
        // Nothing stored means that the key is taken; a key holds 80 random bits, so it is this very object.
        put.execute().await.map(drop).map_err(fault("object store"))
    }
}
