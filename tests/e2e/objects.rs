//! Objects in R2, by the S3 interface that the consumer speaks.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures_util::TryStreamExt;
use local_stack::keys::Key;
use local_stack::stack::BUCKET;
use origin_consumer::objects::{Bucket, ObjectError, Objects, S3Config};
use origin_consumer::replay::range::TimeRange;
use origin_consumer::replay::selection::{Found, Listing, Selection, Which};
use reqwest::StatusCode;
use serde_json::json;
use spillway_proto::notification::Notification;
use spillway_proto::object_key::ROOT;
use spillway_proto::{ObjectKey, UnixMillis};
use spillway_tests::export::Export;
use spillway_tests::lone_edge::LoneEdge;
use spillway_tests::notification::{now, stored};

const CONTENT_TYPE: &str = "application/octet-stream";

fn config(edge: &LoneEdge) -> S3Config {
    S3Config {
        endpoint: edge.edge.s3_endpoint(),
        bucket: BUCKET.to_owned(),
        access_key_id: edge.s3.access_key_id.clone(),
        secret_access_key: edge.s3.secret_access_key.clone().into(),
        ..S3Config::default()
    }
}

async fn keys(bucket: &Bucket, prefix: &str) -> Result<Vec<String>> {
    let page = bucket.list(prefix, "", 1_000).await?;
    Ok(page.objects.into_iter().map(|object| object.key).collect())
}

/// Sends an export of so many spans, which is stored and told to nobody.
async fn sent(edge: &LoneEdge, key: &Key, spans: usize) -> Result<()> {
    let request = local_stack::http::client().post(format!("{}/v1/traces", edge.edge.url));
    let request = request.header("x-api-key", key.secret.expose()).header("content-type", "application/json");
    let answer = request.body(Export::new(spans).request.to_string()).send().await?;
    ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
    Ok(())
}

#[tokio::test]
async fn objects_are_put_copied_listed_in_pages_and_deleted() -> Result<()> {
    let edge = LoneEdge::start(&[], &[]).await?;
    let bucket = Bucket::new(&config(&edge));
    let names = ["dlq/a b", "dlq/b", "dlq/c=d+e", "other/a"];
    for name in names {
        bucket.put(name, Bytes::from_static(b"some bytes"), CONTENT_TYPE).await?;
    }
    assert_eq!(bucket.read("dlq/a b", 10).await?, "some bytes");
    assert!(matches!(bucket.read("dlq/a b", 9).await, Err(ObjectError::Poison(_))));
    bucket.copy("dlq/c=d+e", "other/copy").await?;
    bucket.copy("dlq/a b", "other/copy of it").await?;
    assert_eq!(bucket.read("other/copy", 10).await?, "some bytes");
    for missing in [bucket.copy("dlq/none", "dlq/x").await, bucket.read("dlq/none", 1).await.map(drop)] {
        assert!(matches!(&missing, Err(ObjectError::Poison(reason)) if reason.contains("not in the bucket")));
    }
    assert_eq!(keys(&bucket, "dlq/").await?, names[..3]);
    let first = bucket.list("", "", 2).await?;
    assert_eq!((first.objects.len(), first.more, first.objects[1].bytes), (2, true, 10));
    let rest = bucket.list("", &first.objects[1].key, 1_000).await?;
    assert_eq!((rest.objects.len(), rest.more), (4, false));
    bucket.delete(&[names[0], names[2], "dlq/none"].map(str::to_owned)).await?;
    assert_eq!(keys(&bucket, "dlq/").await?, ["dlq/b"]);
    Ok(())
}

#[tokio::test]
async fn what_the_edge_stored_is_described_by_what_is_kept_beside_it_or_else_by_itself() -> Result<()> {
    let key = Key::new("acme", &json!({}))?;
    let edge = LoneEdge::start(std::slice::from_ref(&key), &[]).await?;
    sent(&edge, &key, 5).await?;
    let (bucket, objects) = (Bucket::new(&config(&edge)), Objects::new(&config(&edge)));
    let object: ObjectKey = keys(&bucket, ROOT).await?.remove(0).parse()?;
    let told = objects.describe(&object).await?;
    let bytes = objects.fetch(&told).await?;
    // A put by hand keeps nothing beside it.
    bucket.put(&object.to_string(), bytes.clone(), CONTENT_TYPE).await?;
    let by_itself = objects.describe(&object).await?;
    // Of JSON the id of the version before was that of the text, which is not kept.
    assert!(by_itself.previous_id.is_some_and(|id| Some(id) != told.previous_id));
    let previous_id = by_itself.previous_id;
    assert_eq!(by_itself, Notification { previous_id, rejected_spans: None, ..told });
    bucket.put(&object.to_string(), bytes.slice(1..), CONTENT_TYPE).await?;
    assert!(matches!(objects.describe(&object).await, Err(ObjectError::Poison(_))));
    bucket.delete(&[object.to_string()]).await?;
    assert!(matches!(objects.describe(&object).await, Err(ObjectError::Poison(_))));
    Ok(())
}

#[tokio::test]
async fn a_selection_finds_what_the_edge_has_stored() -> Result<()> {
    let (acme, other) = (Key::new("acme", &json!({}))?, Key::new("other", &json!({}))?);
    let edge = LoneEdge::start(&[acme.clone(), other.clone()], &[]).await?;
    for (key, spans) in [(&acme, 1), (&other, 20), (&acme, 300)] {
        sent(&edge, key, spans).await?;
    }
    let (bucket, objects) = (Bucket::new(&config(&edge)), Objects::new(&config(&edge)));
    let (by_hand, bytes) = stored(b"", 4_000)?;
    bucket.put(&by_hand.object_key.to_string(), bytes.into(), CONTENT_TYPE).await?;
    bucket.put("v1/notes.txt", Bytes::from_static(b"by hand"), CONTENT_TYPE).await?;
    let range = TimeRange { from: UnixMillis(now().0 - 3_600_000), until: UnixMillis(now().0 + 60_000) };
    let which = Which::Received { range, prefix: String::new() };
    let selection = Selection { which, tenants: BTreeSet::from(["acme".parse()?]) };
    assert_eq!(selection.count(&objects, None).await?, Listing { objects: 4, spans: 4_321 });
    let found: Vec<Found> = selection.find(&objects, None, 4).try_collect().await?;
    let wanted = found.iter().filter(|found| matches!(found, Found::Wanted(_)));
    assert_eq!(wanted.map(|found| found.key().spans()).sum::<u32>(), 4_301);
    assert!(found.iter().map(Found::key).is_sorted());
    let rest: Vec<Found> = selection.find(&objects, Some(found[1].key()), 4).try_collect().await?;
    assert_eq!(rest, found[2..]);
    Ok(())
}
