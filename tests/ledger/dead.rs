//! Objects that were set aside, and what people do with them.

use anyhow::{Context, Result};
use origin_consumer::queue::{DeadFilter, Fault, Setback};
use spillway_proto::ObjectKey;
use spillway_proto::notification::Notification;

use crate::objects::{NOW, at, body};
use crate::stores::{Kind, Ledger, on_both_stores};

on_both_stores!(
    they_are_listed_page_by_page_of_one_tenant_or_all,
    one_is_tried_again_once,
    a_discarded_one_stays_and_can_be_tried_again,
    each_is_copied_once_for_each_death,
);

const ALL: DeadFilter = DeadFilter { tenant: None, discarded: false, after: None, limit: 100 };

/// Dead objects, in the order of their keys.
async fn dead(ledger: &Ledger, tenants: &[&str]) -> Result<Vec<Notification>> {
    let mut objects = Vec::new();
    for (n, tenant) in tenants.iter().enumerate() {
        objects.push(body(&n.to_string()).of(tenant).object());
    }
    for object in &objects {
        ledger.take(object).await?;
    }
    let batch = ledger.claim_at(NOW).await?;
    let setback = |object: &Notification| {
        let object_key = object.object_key.clone();
        Setback { object_key, fault: Fault::Fatal, reason: format!("{} is broken", object.tenant) }
    };
    ledger.set_back(&batch, objects.iter().map(setback).collect(), 5, at(7)).await?;
    objects.sort_by_key(|object| object.object_key.to_string());
    Ok(objects)
}

async fn keys(ledger: &Ledger, filter: DeadFilter) -> Result<Vec<ObjectKey>> {
    let dead = ledger.dead(filter).await?;
    Ok(dead.into_iter().map(|dead| dead.notification.object_key).collect())
}

async fn they_are_listed_page_by_page_of_one_tenant_or_all(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let objects = dead(&ledger, &["acme", "acme", "other", "acme", "other"]).await?;
    let all: Vec<_> = objects.iter().map(|object| object.object_key.clone()).collect();
    assert_eq!(keys(&ledger, ALL).await?, all);
    let page = |after: Option<ObjectKey>| DeadFilter { after, limit: 2, ..ALL };
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = keys(&ledger, page(after)).await?;
        after = page.last().cloned();
        if after.is_none() {
            break;
        }
        assert!(page.len() <= 2);
        pages.extend(page);
    }
    assert_eq!(pages, all);
    let of_other = keys(&ledger, DeadFilter { tenant: Some("other".to_owned()), ..ALL }).await?;
    let others = objects.iter().filter(|object| object.tenant.as_str() == "other");
    assert_eq!(of_other, others.map(|object| object.object_key.clone()).collect::<Vec<_>>());
    let first = ledger.dead_object(&all[0]).await?.context("it is dead")?;
    assert_eq!(first.notification, objects[0]);
    assert_eq!(first.reason, format!("{} is broken", objects[0].tenant));
    assert_eq!((first.dead_at, first.copied), (at(7), false));
    assert!(keys(&ledger, DeadFilter { discarded: true, ..ALL }).await?.is_empty());
    assert!(ledger.dead_object(&body("alive").object().object_key).await?.is_none());
    Ok(())
}

async fn one_is_tried_again_once(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let objects = dead(&ledger, &["acme", "acme"]).await?;
    let key = &objects[0].object_key;
    assert!(ledger.retry_dead(key, at(10)).await?);
    assert!(!ledger.retry_dead(key, at(10)).await?, "it waits");
    let batch = ledger.claim_at(at(10)).await?;
    assert_eq!((batch.objects.len(), batch.objects[0].failures, batch.look_first), (1, 0, true));
    assert!(!ledger.retry_dead(key, at(10)).await?, "it is in a batch");
    ledger.ack(&batch, at(10)).await?;
    assert!(!ledger.retry_dead(key, at(10)).await?, "it is stored");
    assert_eq!(keys(&ledger, ALL).await?, [objects[1].object_key.clone()]);
    Ok(())
}

async fn a_discarded_one_stays_and_can_be_tried_again(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let objects = dead(&ledger, &["acme"]).await?;
    let key = &objects[0].object_key;
    assert!(ledger.discard(key, "a test".to_owned(), at(9)).await?);
    assert!(!ledger.discard(key, "again".to_owned(), at(10)).await?);
    assert!(keys(&ledger, ALL).await?.is_empty());
    let discarded = ledger.dead(DeadFilter { discarded: true, ..ALL }).await?;
    assert_eq!((discarded[0].reason.as_str(), discarded[0].dead_at), ("a test", at(9)));
    assert_eq!(ledger.depth().await?.dead, 0);
    assert!(ledger.retry_dead(key, at(10)).await?);
    assert!(!ledger.discard(key, "too late".to_owned(), at(10)).await?);
    assert_eq!(ledger.claim_at(at(10)).await?.objects[0].notification, objects[0]);
    Ok(())
}

async fn each_is_copied_once_for_each_death(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let objects = dead(&ledger, &["acme", "acme"]).await?;
    let uncopied = async || anyhow::Ok(ledger.uncopied(10).await?.len());
    assert_eq!(uncopied().await?, 2);
    let key = &objects[0].object_key;
    ledger.copied(key).await?;
    assert_eq!(uncopied().await?, 1);
    assert!(ledger.dead_object(key).await?.context("it is dead")?.copied);
    ledger.retry_dead(key, at(10)).await?;
    let batch = ledger.claim_at(at(10)).await?;
    let setback =
        Setback { object_key: key.clone(), fault: Fault::Fatal, reason: "for another reason".to_owned() };
    ledger.set_back(&batch, vec![setback], 5, at(10)).await?;
    assert_eq!(uncopied().await?, 2, "its copy has the reason of the first death");
    Ok(())
}
