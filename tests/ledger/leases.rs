//! Leases: who may work on a batch, and for how long.

use anyhow::Result;
use origin_consumer::queue::{Depth, QueueError};

use crate::objects::{LEASE, LIMITS, NOW, at, object};
use crate::stores::{Kind, Ledger, on_both_stores};

on_both_stores!(
    a_batch_comes_back_as_it_was_when_its_lease_has_run_out,
    a_renewed_lease_holds,
    whoever_lost_the_lease_can_write_nothing,
    an_acknowledged_batch_is_closed,
    a_released_batch_comes_back_when_it_is_time_and_remembers,
    leases_that_ran_out_count_as_deaths_until_somebody_survives,
    in_an_outage_only_batches_in_hand_are_claimed,
    what_was_claimed_survives_a_restart,
);

async fn a_batch_comes_back_as_it_was_when_its_lease_has_run_out(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.take(&object("a")).await?;
    ledger.take(&object("b")).await?;
    let first = ledger.claim_at(NOW).await?;
    ledger.take(&object("c")).await?;
    let other = ledger.claim_at(at(29_999)).await?;
    assert_ne!(other.id, first.id);
    let again = ledger.claim_at(at(30_000)).await?;
    assert_eq!((again.id, again.objects), (first.id, first.objects), "the manifest is what it was");
    Ok(())
}

async fn a_renewed_lease_holds(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.take(&object("a")).await?;
    let batch = ledger.claim_at(NOW).await?;
    ledger.renew(&batch, at(60_000)).await?;
    assert!(!ledger.has_work_at(at(59_999)).await?);
    assert!(ledger.has_work_at(at(60_000)).await?);
    Ok(())
}

async fn whoever_lost_the_lease_can_write_nothing(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.take(&object("a")).await?;
    ledger.take(&object("b")).await?;
    let lost = ledger.claim_at(NOW).await?;
    let held = ledger.claim_at(at(30_000)).await?;
    for refused in [
        ledger.ack(&lost, NOW).await,
        ledger.renew(&lost, at(90_000)).await,
        ledger.begin_insert(&lost, at(30_000)).await,
        ledger.begin_alone(&lost).await,
        ledger.release(&lost, NOW, String::new()).await,
        ledger.set_back(&lost, vec![], 5, NOW).await.map(drop),
        ledger.split(&lost, NOW).await,
    ] {
        assert!(matches!(refused, Err(QueueError::LeaseLost(id)) if id == lost.id), "{refused:?}");
    }
    assert_eq!(ledger.depth().await?, Depth { batched: 2, ..Depth::default() });
    let later = ledger.claim_at(at(60_000)).await?;
    assert_eq!((later.id, later.inserts, later.failures), (held.id, 0, 0));
    Ok(())
}

async fn an_acknowledged_batch_is_closed(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.take(&object("a")).await?;
    let batch = ledger.claim_at(NOW).await?;
    ledger.ack(&batch, NOW).await?;
    for refused in [
        ledger.ack(&batch, NOW).await,
        ledger.renew(&batch, at(90_000)).await,
        ledger.release(&batch, NOW, String::new()).await,
        ledger.set_back(&batch, vec![], 5, NOW).await.map(drop),
        ledger.split(&batch, NOW).await,
    ] {
        assert!(matches!(refused, Err(QueueError::LeaseLost(_))), "{refused:?}");
    }
    assert_eq!(ledger.depth().await?, Depth::default());
    assert!(!ledger.has_work_at(at(1_000_000)).await?);
    Ok(())
}

async fn a_released_batch_comes_back_when_it_is_time_and_remembers(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.take(&object("a")).await?;
    let batch = ledger.claim_at(NOW).await?;
    ledger.begin_insert(&batch, at(30_000)).await?;
    // What a server says may hold any character.
    ledger.release(&batch, at(500), "down: \0 \u{1f4a5}".to_owned()).await?;
    assert!(!ledger.has_work_at(at(499)).await?);
    let again = ledger.claim_at(at(500)).await?;
    assert_eq!((again.id, again.inserts, again.failures, again.abandoned), (batch.id, 1, 1, 0));
    let refused = ledger.ack(&batch, NOW).await;
    assert!(matches!(refused, Err(QueueError::LeaseLost(_))), "{refused:?}");
    Ok(())
}

async fn leases_that_ran_out_count_as_deaths_until_somebody_survives(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.take(&object("a")).await?;
    ledger.claim_at(NOW).await?;
    let batch = ledger.claim_at(at(30_000)).await?;
    assert_eq!(batch.abandoned, 1);
    // From here on it is under suspicion. Who dies beside it, before its turn, has not died over it.
    let batch = ledger.claim_at(at(60_000)).await?;
    assert_eq!(batch.abandoned, 1);
    ledger.begin_alone(&batch).await?;
    let batch = ledger.claim_at(at(90_000)).await?;
    assert_eq!(batch.abandoned, 2);
    ledger.begin_alone(&batch).await?;
    ledger.release(&batch, at(100_000), "busy".to_owned()).await?;
    let batch = ledger.claim_at(at(100_000)).await?;
    assert_eq!((batch.abandoned, batch.failures), (0, 1));
    let batch = ledger.claim_at(at(100_000 + LEASE.as_millis() as u64)).await?;
    assert_eq!((batch.abandoned, batch.failures), (1, 1));
    Ok(())
}

async fn in_an_outage_only_batches_in_hand_are_claimed(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.take(&object("a")).await?;
    assert!(ledger.reclaim(LIMITS, NOW).await?.is_none());
    let batch = ledger.claim_at(NOW).await?;
    ledger.release(&batch, at(500), "down".to_owned()).await?;
    ledger.take(&object("b")).await?;
    let again = ledger.reclaim(LIMITS, at(500)).await?;
    assert_eq!(again.map(|batch| batch.id), Some(batch.id));
    assert!(ledger.reclaim(LIMITS, at(500)).await?.is_none());
    Ok(())
}

async fn what_was_claimed_survives_a_restart(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.take(&object("a")).await?;
    let claimed = ledger.claim_at(NOW).await?;
    ledger.begin_insert(&claimed, at(30_000)).await?;
    ledger.take(&object("b")).await?;
    let ledger = ledger.restarted().await?;
    assert_ne!(ledger.claim_at(NOW).await?.id, claimed.id, "the lease has not run out");
    let again = ledger.claim_at(at(30_000)).await?;
    assert_eq!((again.id, again.inserts, again.objects), (claimed.id, 1, claimed.objects));
    Ok(())
}
