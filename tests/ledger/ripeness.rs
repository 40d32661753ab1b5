//! When a batch is made of what waits: when it is full, or when something has waited for the delay.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use origin_consumer::queue::{Batch, Claim, ClaimLimits, Fault, Setback};
use spillway_proto::{ObjectKey, UnixMillis};

use crate::objects::{LEASE, NOW, at, body, object};
use crate::stores::{Kind, Ledger, on_both_stores};

on_both_stores!(
    objects_that_fill_no_batch_wait_for_the_delay,
    what_fills_a_batch_does_not_wait,
    what_a_full_batch_leaves_waits_for_others,
    the_oldest_of_all_tenants_decides_and_all_of_them_share_the_batch,
    a_clock_that_is_ahead_or_was_set_back_makes_nothing_wait_for_long,
    live_ones_that_wait_keep_no_others_back,
    what_shall_be_tried_later_is_not_counted_until_then,
    what_was_set_back_or_left_behind_does_not_wait_again,
    sizes_beyond_all_measure_do_no_harm,
);

const DELAY: Duration = Duration::from_secs(2);
/// As in the other tests, but that objects wait for others.
const LIMITS: ClaimLimits = ClaimLimits { delay: DELAY, ..crate::objects::LIMITS };

async fn objects_that_fill_no_batch_wait_for_the_delay(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ensure!(matches!(ledger.claim(LIMITS, NOW).await?, Claim::Nothing));
    for n in 0..3 {
        ledger.enqueue(object(&n.to_string()), at(n * 500)).await?;
    }
    assert_eq!(due(&ledger, at(1_000)).await?, at(2_000));
    assert_eq!(due(&ledger, at(1_999)).await?, at(2_000));
    assert_eq!(batch(&ledger, at(2_000)).await?.objects.len(), 3, "the younger ones come with it");
    ensure!(matches!(ledger.claim(LIMITS, at(2_000)).await?, Claim::Nothing));
    Ok(())
}

async fn what_fills_a_batch_does_not_wait(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    for (text, spans, bytes, count) in [
        ("objects", 1, 10, 10),
        ("spans", 99, 10, 2),
        ("bytes", 1, 990, 2),
        ("many", 500, 10, 1),
        ("large", 1, 5_000, 1),
    ] {
        for n in 1..=count {
            let object = body(&format!("{text} {n}")).spans(spans).bytes(bytes).object();
            ledger.enqueue(object, NOW).await?;
            if n < count {
                due(&ledger, NOW).await?;
            }
        }
        let mut taken = batch(&ledger, NOW).await?.objects.len();
        while let Claim::Batch(batch) = ledger.claim(LIMITS, at(2_000)).await? {
            taken += batch.objects.len();
        }
        assert_eq!(taken, count, "{text}");
    }
    Ok(())
}

async fn what_a_full_batch_leaves_waits_for_others(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    for n in 0..12 {
        ledger.enqueue(object(&n.to_string()), at(n)).await?;
    }
    assert_eq!(batch(&ledger, at(20)).await?.objects.len(), 10);
    assert_eq!(due(&ledger, at(20)).await?, at(2_010));
    for n in 12..20 {
        ledger.enqueue(object(&n.to_string()), at(30)).await?;
    }
    assert_eq!(batch(&ledger, at(30)).await?.objects.len(), 10);
    Ok(())
}

async fn the_oldest_of_all_tenants_decides_and_all_of_them_share_the_batch(kind: Kind) -> Result<()> {
    const TENANTS: u64 = 80;
    let limits = ClaimLimits { objects: 1_000, spans: 1_000, bytes: 1 << 20, ..LIMITS };
    let ledger = Ledger::open(kind).await?;
    // The last one by name came first.
    for n in 0..TENANTS {
        let object = body("same").of(&format!("tenant-{n:02}")).object();
        ledger.enqueue(object, at(1_000 - n)).await?;
    }
    let oldest = at(1_000 - (TENANTS - 1));
    let Claim::Unripe(due) = ledger.claim(limits, at(1_000)).await? else { bail!("they do not wait") };
    assert_eq!(due.0, oldest.0 + 2_000);
    let batch = ledger.claim(limits, due).await?.batch().context("they are due")?;
    let tenants: HashSet<_> = batch.objects.iter().map(|object| &object.notification.tenant).collect();
    assert_eq!(tenants.len() as u64, TENANTS, "more tenants than share a full batch");
    Ok(())
}

async fn a_clock_that_is_ahead_or_was_set_back_makes_nothing_wait_for_long(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.enqueue(object("by another origin"), at(500)).await?;
    assert_eq!(due(&ledger, NOW).await?, at(2_500));
    ledger.enqueue(object("before the clock was set back"), at(3_600_000)).await?;
    assert_eq!(batch(&ledger, at(2_500)).await?.objects.len(), 2);
    ledger.enqueue(object("before it was set back once more"), at(3_600_000)).await?;
    assert_eq!(batch(&ledger, NOW).await?.objects.len(), 1);
    Ok(())
}

async fn live_ones_that_wait_keep_no_others_back(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let again = object("again");
    ledger.take(&again).await?;
    let dead = batch(&ledger, at(2_000)).await?;
    ledger.set_back(&dead, vec![setback(&dead, Fault::Fatal)], 5, at(2_000)).await?;
    // By hand: it waits since it came in.
    ensure!(ledger.retry_dead(&again.object_key, at(2_500)).await?);
    let live = object("live");
    ledger.enqueue(live.clone(), at(1_500)).await?;
    assert_eq!(due(&ledger, at(2_400)).await?, at(3_500), "the other one shall wait until it was asked for");
    assert_eq!(keys(&batch(&ledger, at(2_500)).await?), [again.object_key]);
    assert_eq!(due(&ledger, at(2_500)).await?, at(3_500));
    assert_eq!(keys(&batch(&ledger, at(3_500)).await?), [live.object_key]);
    Ok(())
}

async fn what_shall_be_tried_later_is_not_counted_until_then(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    for n in 0..10 {
        ledger.take(&object(&n.to_string())).await?;
    }
    let failed = batch(&ledger, NOW).await?;
    let setbacks = failed.objects.iter().map(|object| Setback {
        object_key: object.notification.object_key.clone(),
        fault: Fault::Passing,
        reason: "away".to_owned(),
    });
    ledger.set_back(&failed, setbacks.collect(), 5, at(10_000)).await?;
    ensure!(matches!(ledger.claim(LIMITS, at(10_499)).await?, Claim::Nothing));
    let other = object("other");
    ledger.enqueue(other.clone(), at(10_000)).await?;
    assert_eq!(due(&ledger, at(10_499)).await?, at(12_000));
    assert_eq!(batch(&ledger, at(10_500)).await?.objects.len(), 10);
    Ok(())
}

async fn what_was_set_back_or_left_behind_does_not_wait_again(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.take(&object("a")).await?;
    ledger.take(&object("b")).await?;
    let first = batch(&ledger, at(2_000)).await?;
    ledger.set_back(&first, vec![setback(&first, Fault::Poison)], 5, at(2_000)).await?;
    let spared = batch(&ledger, at(2_000)).await?;
    assert_eq!(spared.objects.len(), 1);
    ledger.enqueue(object("c"), at(2_000)).await?;
    let lease = LEASE.as_millis() as u64;
    // The one that failed is due as well by then; a batch that was left behind comes first.
    assert_eq!(batch(&ledger, at(2_000 + lease)).await?.id, spared.id);
    assert_eq!(batch(&ledger, at(2_000 + lease)).await?.objects.len(), 2);
    Ok(())
}

async fn sizes_beyond_all_measure_do_no_harm(kind: Kind) -> Result<()> {
    let limits = ClaimLimits { objects: 1_000, spans: u64::MAX, bytes: u64::MAX, ..LIMITS };
    let ledger = Ledger::open(kind).await?;
    for n in 0..3 {
        ledger.take(&body(&n.to_string()).bytes(u64::MAX).object()).await?;
    }
    ensure!(matches!(ledger.claim(limits, NOW).await?, Claim::Unripe(_)));
    let batch = ledger.claim(limits, at(2_000)).await?.batch().context("they are due")?;
    assert_eq!(batch.objects.len(), 3);
    assert_eq!(batch.payload_bytes(), u64::MAX);
    Ok(())
}

/// When what waits is due; an error if it is now.
async fn due(ledger: &Ledger, now: UnixMillis) -> Result<UnixMillis> {
    match ledger.claim(LIMITS, now).await? {
        Claim::Unripe(due) => Ok(due),
        claim => bail!("{claim:?}"),
    }
}

async fn batch(ledger: &Ledger, now: UnixMillis) -> Result<Batch> {
    match ledger.claim(LIMITS, now).await? {
        Claim::Batch(batch) => Ok(batch),
        claim => bail!("{claim:?}"),
    }
}

fn keys(batch: &Batch) -> Vec<ObjectKey> {
    batch.objects.iter().map(|object| object.notification.object_key.clone()).collect()
}

fn setback(batch: &Batch, fault: Fault) -> Setback {
    let object_key = batch.objects[0].notification.object_key.clone();
    Setback { object_key, fault, reason: "broken".to_owned() }
}
