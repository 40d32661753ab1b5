//! A pause of the inserts: who has begun is seen, and who begins is refused.

use anyhow::Result;
use origin_consumer::queue::QueueError;

use crate::objects::{NOW, at, object};
use crate::stores::{Kind, Ledger, on_both_stores};

on_both_stores!(
    nobody_begins_while_inserts_are_paused,
    a_pause_ends_by_itself_and_one_of_another_clock_is_none,
    who_has_begun_is_seen_until_the_batch_is_out_of_hand,
    a_batch_that_is_put_off_has_not_failed,
);

async fn nobody_begins_while_inserts_are_paused(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    assert_eq!(ledger.inserts_paused_until(NOW).await?, None);
    ledger.refuse_while_paused(NOW).await?;
    ledger.another().await?.pause_inserts(at(30_000)).await?;
    assert_eq!(ledger.inserts_paused_until(NOW).await?, Some(at(30_000)));
    let refused = ledger.refuse_while_paused(NOW).await;
    assert!(matches!(refused, Err(QueueError::Paused(until)) if until == at(30_000)), "{refused:?}");
    // Another one was noted meanwhile.
    ledger.resume_inserts(at(20_000)).await?;
    assert!(ledger.refuse_while_paused(NOW).await.is_err());
    ledger.resume_inserts(at(30_000)).await?;
    ledger.refuse_while_paused(NOW).await?;
    Ok(())
}

async fn a_pause_ends_by_itself_and_one_of_another_clock_is_none(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.pause_inserts(at(30_000)).await?;
    ledger.refuse_while_paused(at(30_000)).await?;
    assert!(ledger.refuse_while_paused(at(29_999)).await.is_err());
    // Noted by a clock that was a day ahead.
    ledger.pause_inserts(at(86_400_000)).await?;
    ledger.refuse_while_paused(NOW).await?;
    Ok(())
}

async fn who_has_begun_is_seen_until_the_batch_is_out_of_hand(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    for name in ["a", "b", "c"] {
        ledger.take(&object(name)).await?;
        let batch = ledger.claim_at(NOW).await?;
        assert_eq!(ledger.inserts_begun(NOW).await?, 0, "a batch that is only claimed inserts nothing");
        ledger.begin_insert(&batch, at(30_000)).await?;
        assert_eq!(ledger.inserts_begun(NOW).await?, 1);
        match name {
            "a" => ledger.ack(&batch, NOW).await?,
            "b" => ledger.release(&batch, at(3_600_000), "away".to_owned()).await?,
            // The lease runs out. The consumer's clock may be behind.
            _ => {
                assert_eq!(ledger.inserts_begun(at(34_999)).await?, 1);
                assert_eq!(ledger.inserts_begun(at(35_000)).await?, 0);
                continue;
            }
        }
        assert_eq!(ledger.inserts_begun(NOW).await?, 0);
    }
    Ok(())
}

async fn a_batch_that_is_put_off_has_not_failed(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.take(&object("a")).await?;
    for round in 1..=5 {
        let now = at(round * 10_000);
        let batch = ledger.claim_at(now).await?;
        assert_eq!((batch.failures, batch.abandoned), (0, 0));
        ledger.begin_insert(&batch, at(round * 10_000 + 30_000)).await?;
        ledger.put_off(&batch, at(round * 10_000 + 1_000)).await?;
        assert_eq!(ledger.inserts_begun(now).await?, 0);
        let late = ledger.ack(&batch, now).await;
        assert!(matches!(late, Err(QueueError::LeaseLost(_))), "{late:?}");
        assert!(!ledger.has_work_at(at(round * 10_000 + 999)).await?);
    }
    // It is looked for before it is inserted: an insert may have begun.
    assert_eq!(ledger.claim_at(at(100_000)).await?.inserts, 5);
    Ok(())
}
