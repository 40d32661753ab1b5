//! Which objects a batch is made of.

use std::collections::{BTreeMap, HashSet};

use anyhow::Result;
use futures_util::future::try_join_all;
use origin_consumer::queue::{Batch, ClaimLimits, Fault, Setback};
use spillway_proto::ObjectKey;

use crate::objects::{LIMITS, NOW, at, body, object};
use crate::stores::{Kind, Ledger, on_both_stores};

on_both_stores!(
    a_batch_keeps_to_its_limits_and_takes_at_least_one_object,
    those_that_wait_the_longest_come_first,
    each_tenant_has_its_share_and_what_it_leaves_goes_to_others,
    of_more_tenants_than_share_a_batch_none_starves,
    of_tenants_whose_objects_fill_a_batch_each_has_its_turn,
    large_objects_of_one_tenant_leave_no_batch_half_empty,
    live_ones_come_before_those_that_are_tried_again_by_hand,
    what_shall_wait_does_and_keeps_no_other_back,
    concurrent_claims_never_give_an_object_twice,
);

async fn a_batch_keeps_to_its_limits_and_takes_at_least_one_object(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    for (n, (spans, bytes)) in
        [(500, 1), (60, 1), (40, 1), (1, 5_000), (1, 600), (1, 400), (1, 1)].into_iter().enumerate()
    {
        let object = body(&n.to_string()).spans(spans).bytes(bytes).object();
        ledger.enqueue(object, at(n as u64)).await?;
    }
    for n in 7..18 {
        ledger.enqueue(object(&n.to_string()), at(n)).await?;
    }
    let mut batches = Vec::new();
    while let Some(batch) = ledger.claim(LIMITS, at(20)).await?.batch() {
        batches.push((batch.objects.len(), batch.spans()));
    }
    assert_eq!(batches, [(1, 500), (2, 100), (1, 1), (2, 2), (10, 10), (2, 2)]);
    Ok(())
}

async fn those_that_wait_the_longest_come_first(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let objects: Vec<_> = (0..20).map(|n| object(&n.to_string())).collect();
    for (n, object) in objects.iter().enumerate() {
        ledger.enqueue(object.clone(), at(20 - n as u64)).await?;
    }
    let batch = ledger.claim_at(at(20)).await?;
    assert_eq!(keys(&batch), objects[10..].iter().map(|object| object.object_key.clone()).collect());
    let in_order = batch.objects.windows(2).all(|pair| {
        pair[0].notification.object_key.to_string() < pair[1].notification.object_key.to_string()
    });
    assert!(in_order, "a manifest is in the order of its keys");
    Ok(())
}

async fn each_tenant_has_its_share_and_what_it_leaves_goes_to_others(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let of = |tenant: &'static str, count: usize, from: u64| {
        (0..count).map(move |n| (body(&n.to_string()).of(tenant).object(), at(from + n as u64)))
    };
    let loud = of("loud", 50, 0);
    for (object, now) in loud.chain(of("quiet", 1, 100)).chain(of("modest", 2, 100)) {
        ledger.enqueue(object, now).await?;
    }
    let batch = ledger.claim_at(at(1_000)).await?;
    assert_eq!(
        by_tenant(&[batch]),
        BTreeMap::from([("loud".into(), 7), ("modest".into(), 2), ("quiet".into(), 1)])
    );
    let batch = ledger.claim_at(at(1_000)).await?;
    assert_eq!(by_tenant(&[batch]), BTreeMap::from([("loud".into(), 10)]));
    Ok(())
}

async fn of_more_tenants_than_share_a_batch_none_starves(kind: Kind) -> Result<()> {
    const TENANTS: usize = 80;
    const CLAIMS: usize = 120;
    let ledger = Ledger::open(kind).await?;
    let mut objects = Vec::new();
    for tenant in 0..TENANTS {
        // Each alone could fill all batches.
        for n in 0..40 {
            objects.push(body(&n.to_string()).of(&format!("tenant-{tenant:02}")).object());
        }
    }
    ledger.sweep_in(objects, NOW).await?;
    let mut batches = Vec::new();
    for _ in 0..CLAIMS {
        batches.push(ledger.claim_at(NOW).await?);
    }
    let by_tenant = by_tenant(&batches);
    // By chance one has no turn in one run of a hundred thousand.
    assert_eq!(by_tenant.len(), TENANTS, "{by_tenant:?}");
    assert_eq!(by_tenant.values().sum::<usize>(), CLAIMS * LIMITS.objects as usize, "batches are full");
    Ok(())
}

async fn of_tenants_whose_objects_fill_a_batch_each_has_its_turn(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    for n in 0..30 {
        for tenant in ["first", "second", "third"] {
            ledger.enqueue(body(&n.to_string()).of(tenant).spans(60).object(), NOW).await?;
        }
    }
    let mut batches = Vec::new();
    for _ in 0..30 {
        batches.push(ledger.claim_at(NOW).await?);
    }
    // By chance one has no turn in one run of sixty thousand.
    assert_eq!(by_tenant(&batches).len(), 3);
    Ok(())
}

async fn large_objects_of_one_tenant_leave_no_batch_half_empty(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let of = |tenant: &str, count: usize, spans: u32| -> Vec<_> {
        (0..count).map(|n| body(&n.to_string()).of(tenant).spans(spans).object()).collect()
    };
    let mut objects = of("a-large-one", 1_500, 100);
    for tenant in 0..20 {
        objects.extend(of(&format!("small-{tenant:02}"), 50, 1));
    }
    ledger.sweep_in(objects, NOW).await?;
    let limits = ClaimLimits { objects: 1_000, spans: 1_000, bytes: 1_000_000, ..LIMITS };
    let batch = ledger.claim(limits, NOW).await?.batch().expect("a batch");
    assert!(batch.spans() > 900, "{} spans", batch.spans());
    assert_eq!(by_tenant(&[batch]).len(), 21);
    Ok(())
}

async fn live_ones_come_before_those_that_are_tried_again_by_hand(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let (again, live) = (object("again"), object("live"));
    ledger.take(&again).await?;
    let batch = ledger.claim_at(NOW).await?;
    let setback =
        Setback { object_key: again.object_key.clone(), fault: Fault::Fatal, reason: "broken".to_owned() };
    ledger.set_back(&batch, vec![setback], 5, NOW).await?;
    assert!(ledger.retry_dead(&again.object_key, NOW).await?);
    ledger.enqueue(live.clone(), at(1)).await?;
    let first = ledger.claim_at(at(2)).await?;
    assert_eq!(keys(&first), HashSet::from([live.object_key]));
    let second = ledger.claim_at(at(2)).await?;
    assert_eq!(keys(&second), HashSet::from([again.object_key]));
    assert!(second.look_first, "an earlier try may have stored it");
    Ok(())
}

async fn what_shall_wait_does_and_keeps_no_other_back(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    for n in 0..10 {
        ledger.take(&object(&n.to_string())).await?;
    }
    let batch = ledger.claim_at(NOW).await?;
    let setback = |object_key: &ObjectKey| Setback {
        object_key: object_key.clone(),
        fault: Fault::Passing,
        reason: "away".to_owned(),
    };
    let setbacks = keys(&batch).iter().map(setback).collect();
    ledger.set_back(&batch, setbacks, 5, NOW).await?;
    assert!(!ledger.has_work_at(at(499)).await?);
    let other = object("other");
    ledger.enqueue(other.clone(), at(100)).await?;
    let next = ledger.claim_at(at(499)).await?;
    assert_eq!(keys(&next), HashSet::from([other.object_key]));
    assert_eq!(ledger.claim_at(at(500)).await?.objects.len(), 10);
    Ok(())
}

async fn concurrent_claims_never_give_an_object_twice(kind: Kind) -> Result<()> {
    const OBJECTS: usize = 600;
    let ledger = Ledger::open(kind).await?;
    let other = ledger.another().await?;
    let tenants = ["one", "two", "three"];
    let objects = (0..OBJECTS).map(|n| body(&n.to_string()).of(tenants[n % 3]).object());
    ledger.sweep_in(objects.collect(), NOW).await?;
    let limits = ClaimLimits { objects: 7, ..LIMITS };
    let claimers = (0..8).map(|n| {
        let queue = if n % 2 == 0 { &*ledger } else { &other };
        async move {
            let (mut claimed, mut empty) = (Vec::new(), 0);
            // What another transaction holds is passed over: nothing to claim may mean that all is held.
            while empty < 20 {
                match queue.claim(limits, NOW).await?.batch() {
                    Some(batch) => claimed.push(batch),
                    None => empty += 1,
                }
            }
            anyhow::Ok(claimed)
        }
    });
    let batches: Vec<_> = try_join_all(claimers).await?.into_iter().flatten().collect();
    let claimed: Vec<_> = batches.iter().flat_map(|batch| &batch.objects).collect();
    let distinct: HashSet<_> = claimed.iter().map(|object| &object.notification.object_key).collect();
    assert_eq!((claimed.len(), distinct.len()), (OBJECTS, OBJECTS));
    Ok(())
}

fn keys(batch: &Batch) -> HashSet<ObjectKey> {
    batch.objects.iter().map(|object| object.notification.object_key.clone()).collect()
}

fn by_tenant(batches: &[Batch]) -> BTreeMap<String, usize> {
    let mut objects = BTreeMap::new();
    for object in batches.iter().flat_map(|batch| &batch.objects) {
        *objects.entry(object.notification.tenant.to_string()).or_default() += 1;
    }
    objects
}
