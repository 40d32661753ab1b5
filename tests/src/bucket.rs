//! The stack's R2 bucket, by its S3 interface.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, Region};
use aws_smithy_http_client::Builder;
use local_stack::edge::S3Credentials;
use local_stack::stack::{BUCKET, Stack};

use crate::stack::ARRIVAL;

/// The bucket.
pub struct Bucket(Client);

impl Bucket {
    /// The bucket of `stack`.
    pub fn of(stack: &Stack) -> Self {
        Self::at(&stack.edge.s3_endpoint(), &stack.s3)
    }

    /// The bucket, by another endpoint.
    pub fn at(endpoint: &str, s3: &S3Credentials) -> Self {
        let credentials = Credentials::new(&s3.access_key_id, &s3.secret_access_key, None, None, "stack");
        let config = aws_sdk_s3::Config::builder()
            .http_client(Builder::new().build_http())
            .endpoint_url(format!("{endpoint}/"))
            .region(Region::new("auto"))
            .credentials_provider(credentials)
            .force_path_style(true)
            .build();
        Self(Client::from_conf(config))
    }

    /// A client for what is not below.
    pub fn client(&self) -> &Client {
        &self.0
    }

    /// The keys of all objects, in order.
    pub async fn keys(&self) -> Result<Vec<String>> {
        let listing = self.0.list_objects_v2().bucket(BUCKET).send().await?;
        Ok(listing.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect())
    }

    /// What an object holds, and what is kept beside it.
    pub async fn get(&self, key: &str) -> Result<(Vec<u8>, Vec<(String, String)>)> {
        let object = self.0.get_object().bucket(BUCKET).key(key).send().await?;
        let metadata = object.metadata().into_iter().flatten();
        let metadata = metadata.map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok((object.body.collect().await?.to_vec(), metadata))
    }

    /// What an object holds that will be there soon.
    pub async fn await_object(&self, key: &str) -> Result<Vec<u8>> {
        let deadline = Instant::now() + ARRIVAL;
        loop {
            match self.get(key).await {
                Ok((bytes, _)) => return Ok(bytes),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Replaces an object.
    pub async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        self.0.put_object().bucket(BUCKET).key(key).body(bytes.into()).send().await?;
        Ok(())
    }

    /// Puts an object, with what is kept beside it.
    pub async fn put_with(&self, key: &str, bytes: Vec<u8>, metadata: HashMap<String, String>) -> Result<()> {
        let put = self.0.put_object().bucket(BUCKET).key(key).body(bytes.into());
        put.set_metadata(Some(metadata)).send().await?;
        Ok(())
    }

    /// Removes an object.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.0.delete_object().bucket(BUCKET).key(key).send().await?;
        Ok(())
    }
}
