//! Faults of S3, before the R2 of a running edge, which verifies signatures.

use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use local_stack::stack::BUCKET;
use spillway_tests::bucket::Bucket;
use spillway_tests::faults::{On, S3Fault, S3Faults, S3Operation};
use spillway_tests::lone_edge::LoneEdge;
use tokio::time::timeout;

const KEY: &str = "v1/2026/a object";
const BODY: &[u8] = b"what the edge has stored";

/// An edge that has stored one object, which is asked for through the proxy.
struct Bench {
    s3: S3Faults,
    bucket: Bucket,
    edge: LoneEdge,
}

impl Bench {
    async fn start() -> Result<Self> {
        let edge = LoneEdge::start(&[], &[]).await?;
        let s3 = S3Faults::start(&edge.edge.s3_endpoint()).await?;
        let bucket = Bucket::at(&s3.endpoint, &edge.s3);
        bucket.put(KEY, BODY.to_vec()).await?;
        Ok(Self { s3, bucket, edge })
    }

    async fn get(&self) -> Result<Vec<u8>> {
        Ok(self.bucket.get(KEY).await?.0)
    }

    /// Every get has this fault from now on.
    fn always(&self, fault: S3Fault) {
        self.s3.pass();
        self.s3.set(On::every(S3Operation::GetObject), fault);
    }

    fn faults(&self) -> u64 {
        self.s3.faults(S3Operation::GetObject)
    }
}

#[tokio::test]
async fn without_a_fault_every_operation_passes_with_its_signature() -> Result<()> {
    let bench = Bench::start().await?;
    assert_eq!(bench.get().await?, BODY);
    assert_eq!(bench.bucket.keys().await?, [KEY]);
    let client = bench.bucket.client();
    let head = client.head_object().bucket(BUCKET).key(KEY).send().await?;
    assert_eq!(head.content_length(), Some(BODY.len() as i64));
    let source = format!("{BUCKET}/{}", KEY.replace(' ', "%20"));
    client.copy_object().bucket(BUCKET).key("copy").copy_source(source).send().await?;
    assert_eq!(bench.bucket.get("copy").await?.0, BODY);
    bench.bucket.delete("copy").await?;
    let delete = Delete::builder().objects(ObjectIdentifier::builder().key(KEY).build()?).build()?;
    client.delete_objects().bucket(BUCKET).delete(delete).send().await?;
    assert!(bench.bucket.keys().await?.is_empty());
    use S3Operation::*;
    let calls = [PutObject, GetObject, ListObjectsV2, HeadObject, CopyObject, DeleteObject, DeleteObjects];
    assert_eq!(calls.map(|operation| bench.s3.calls(operation)), [1, 2, 2, 1, 1, 1, 1]);
    assert_eq!(calls.map(|operation| bench.s3.faults(operation)), [0; 7]);
    Ok(())
}

#[tokio::test]
async fn a_wrong_signature_is_refused_behind_the_proxy_too() -> Result<()> {
    let bench = Bench::start().await?;
    let mut wrong = bench.edge.s3.clone();
    wrong.secret_access_key.push('x');
    let client = Bucket::at(&bench.s3.endpoint, &wrong);
    let error = client.client().get_object().bucket(BUCKET).key(KEY).send().await.err();
    assert_eq!(error.context("it was answered")?.code(), Some("SignatureDoesNotMatch"));
    Ok(())
}

#[tokio::test]
async fn refusals_have_the_codes_of_s3() -> Result<()> {
    let bench = Bench::start().await?;
    let faults = [
        (S3Fault::InternalError, "InternalError"),
        (S3Fault::SlowDown, "SlowDown"),
        (S3Fault::NoSuchKey, "NoSuchKey"),
    ];
    for (fault, code) in faults {
        bench.always(fault);
        let error = bench.bucket.client().get_object().bucket(BUCKET).key(KEY).send().await.err();
        assert_eq!(error.context("it was answered")?.code(), Some(code));
    }
    assert!(bench.faults() >= 3);
    bench.s3.pass();
    assert_eq!(bench.get().await?, BODY);
    Ok(())
}

#[tokio::test]
async fn a_fault_can_be_of_some_keys_and_pass_after_some_times() -> Result<()> {
    let bench = Bench::start().await?;
    bench.bucket.put("other", BODY.to_vec()).await?;
    let on = On::every(S3Operation::GetObject).key(|key| key.ends_with("other")).times(1);
    bench.s3.set(on, S3Fault::NoSuchKey);
    bench.get().await?;
    assert!(bench.bucket.get("other").await.is_err());
    bench.bucket.get("other").await?;
    assert_eq!(bench.faults(), 1);
    let listing = On::every(S3Operation::ListObjectsV2).key(|prefix| prefix == "v1/");
    bench.s3.set(listing, S3Fault::NoSuchKey);
    bench.bucket.keys().await?;
    let listing = bench.bucket.client().list_objects_v2().bucket(BUCKET).prefix("v1/").send().await;
    assert!(listing.is_err());
    Ok(())
}

#[tokio::test]
async fn bodies_are_cut_short_of_their_length() -> Result<()> {
    let bench = Bench::start().await?;
    for fault in [S3Fault::TruncateBody(10), S3Fault::ResetBody(10)] {
        bench.always(fault.clone());
        let mut answer = bench.bucket.client().get_object().bucket(BUCKET).key(KEY).send().await?;
        assert_eq!(answer.content_length(), Some(BODY.len() as i64));
        let mut got = Vec::new();
        let end = loop {
            match answer.body.next().await {
                Some(Ok(bytes)) => got.extend_from_slice(&bytes),
                Some(Err(error)) => break format!("{:?}", anyhow::Error::from(error)),
                None => break "all is well".to_owned(),
            }
        };
        assert_eq!(got, BODY[..10]);
        let is_reset = end.contains("reset");
        assert_eq!(is_reset, fault == S3Fault::ResetBody(10), "{end}");
        assert_ne!(end, "all is well");
    }
    Ok(())
}

#[tokio::test]
async fn bodies_and_tags_are_wrong_and_nothing_says_so() -> Result<()> {
    let bench = Bench::start().await?;
    bench.always(S3Fault::WrongBytes);
    let got = bench.get().await?;
    assert!(got.len() == BODY.len() && got != BODY);
    bench.always(S3Fault::OtherBody("another object".into()));
    assert_eq!(bench.get().await?, b"another object");
    let tag = async || {
        let answer = bench.bucket.client().get_object().bucket(BUCKET).key(KEY).send().await?;
        anyhow::Ok((answer.e_tag().map(str::to_owned), answer.body.collect().await?.to_vec()))
    };
    bench.s3.pass();
    let (right, _) = tag().await?;
    bench.always(S3Fault::WrongETag);
    let (wrong, body) = tag().await?;
    assert_ne!(wrong, right);
    assert_eq!(body, BODY);
    Ok(())
}

#[tokio::test]
async fn a_stalled_call_goes_on_when_the_faults_are_ended() -> Result<()> {
    let bench = Bench::start().await?;
    bench.always(S3Fault::Stall);
    assert!(timeout(Duration::from_millis(300), bench.get()).await.is_err());
    let (got, released) = tokio::join!(bench.get(), async {
        bench.s3.await_faults(S3Operation::GetObject, 2).await?;
        bench.s3.pass();
        anyhow::Ok(())
    });
    released?;
    assert_eq!(got?, BODY);
    Ok(())
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_has_been_done() -> Result<()> {
    let bench = Bench::start().await?;
    bench.s3.set(On::every(S3Operation::PutObject), S3Fault::LoseAnswer);
    assert!(bench.bucket.put("new", b"new".to_vec()).await.is_err());
    assert_eq!(bench.bucket.get("new").await?.0, b"new");
    Ok(())
}
