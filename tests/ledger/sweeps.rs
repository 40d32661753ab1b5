//! Which minutes of the bucket are due for the sweep, and who has them.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use origin_consumer::queue::{Listed, Queue, SweepMinute};
use spillway_proto::UnixMillis;
use ulid::Ulid;

use crate::objects::{LEASE, MINUTE, NOW, at};
use crate::stores::{Kind, Ledger, on_both_stores};

on_both_stores!(
    minutes_become_due_and_the_newest_comes_first,
    passes_follow_each_other_until_the_last,
    whoever_lost_a_minute_cannot_finish_it,
    several_sweepers_never_have_the_same_minute,
    minutes_are_made_again_where_the_clock_has_gone_back,
    what_was_not_swept_before_a_restart_is_swept_after_it,
    a_listing_takes_the_place_of_the_one_before,
    a_chore_has_one_holder_at_a_time,
);

const FIRST: Duration = Duration::from_secs(180);
const LOOKBACK: Duration = Duration::from_secs(120);
/// The beginning of the minute of [`NOW`].
const THIS: UnixMillis = UnixMillis(NOW.0 - 40_000);

/// So many minutes after that of [`NOW`].
fn minute(number: i64) -> UnixMillis {
    UnixMillis(THIS.0.wrapping_add_signed(number * 60_000))
}

async fn claim(queue: &Queue, now: UnixMillis) -> Result<Option<SweepMinute>> {
    Ok(queue.claim_minute(now, LEASE).await?)
}

async fn claim_all(queue: &Queue, now: UnixMillis) -> Result<Vec<SweepMinute>> {
    let mut minutes = Vec::new();
    while let Some(minute) = claim(queue, now).await? {
        minutes.push(minute);
    }
    Ok(minutes)
}

fn numbers(minutes: &[SweepMinute]) -> Vec<i64> {
    minutes.iter().map(|minute| (minute.minute.0.cast_signed() - THIS.0.cast_signed()) / 60_000).collect()
}

async fn minutes_become_due_and_the_newest_comes_first(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.open_minutes(NOW, LOOKBACK, FIRST).await?;
    assert_eq!(claim(&ledger, at(79_999)).await?, None, "its end and three minutes");
    let first = claim(&ledger, at(80_000)).await?.context("a minute")?;
    assert_eq!((first.minute, first.passes_done), (minute(-2), 0));
    ledger.open_minutes(at(65_000), LOOKBACK, FIRST).await?;
    ledger.open_minutes(at(66_000), LOOKBACK, FIRST).await?;
    assert_eq!(
        numbers(&claim_all(&ledger, at(259_999)).await?),
        [0, -1, -2],
        "the lease of the first is over"
    );
    assert_eq!(numbers(&claim_all(&ledger, at(260_000)).await?), [1]);
    Ok(())
}

async fn passes_follow_each_other_until_the_last(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.open_minutes(NOW, Duration::ZERO, FIRST).await?;
    let mut now = at(600_000);
    for passes_done in 0..3 {
        let minute = claim(&ledger, now).await?.context("a minute")?;
        assert_eq!(minute.passes_done, passes_done);
        let next = UnixMillis(now.0 + 100_000);
        assert!(ledger.finish_minute(&minute, (passes_done < 2).then_some(next)).await?);
        assert_eq!(claim(&ledger, UnixMillis(next.0 - 1)).await?, None);
        now = next;
    }
    assert_eq!(claim(&ledger, at(10_000_000)).await?, None);
    Ok(())
}

async fn whoever_lost_a_minute_cannot_finish_it(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.open_minutes(NOW, Duration::ZERO, FIRST).await?;
    let now = at(600_000);
    let lost = claim(&ledger, now).await?.context("a minute")?;
    assert_eq!(claim(&ledger, at(629_999)).await?, None);
    let held = claim(&ledger, at(630_000)).await?.context("a minute")?;
    assert!(!ledger.finish_minute(&lost, Some(now)).await?);
    assert!(!ledger.finish_minute(&lost, None).await?);
    assert!(ledger.finish_minute(&held, Some(now)).await?);
    let next = claim(&ledger, at(630_000)).await?.context("a minute")?;
    assert_eq!(next.passes_done, 1);
    assert!(ledger.finish_minute(&next, None).await?);
    assert!(!ledger.finish_minute(&next, None).await?);
    Ok(())
}

async fn several_sweepers_never_have_the_same_minute(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let other = ledger.another().await?;
    let opened = [&*ledger, &other].map(|queue| queue.open_minutes(NOW, 100 * MINUTE, FIRST));
    try_join_all(opened).await?;
    let now = at(600_000);
    let sweepers = (0..6).map(|n| claim_all(if n % 2 == 0 { &ledger } else { &other }, now));
    let mut minutes: Vec<_> = try_join_all(sweepers).await?.into_iter().flatten().collect();
    // A sweeper that found all minutes in the hands of others may have ended early.
    minutes.extend(claim_all(&ledger, now).await?);
    minutes.sort_by_key(|minute| minute.minute);
    assert_eq!(numbers(&minutes), (-100..=0).collect::<Vec<_>>());
    Ok(())
}

async fn minutes_are_made_again_where_the_clock_has_gone_back(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let fast = at(60 * 60_000);
    ledger.open_minutes(NOW, Duration::ZERO, FIRST).await?;
    ledger.open_minutes(fast, Duration::ZERO, FIRST).await?;
    for minute in claim_all(&ledger, at(70 * 60_000)).await? {
        assert!(ledger.finish_minute(&minute, None).await?);
    }
    // It was an hour too early. What comes from now on was not there when those minutes were listed.
    ledger.open_minutes(at(60_000), LOOKBACK, FIRST).await?;
    ledger.open_minutes(at(300_000), LOOKBACK, FIRST).await?;
    assert_eq!(numbers(&claim_all(&ledger, at(600_000)).await?), [5, 4, 3, 2, 1, 0, -1]);
    Ok(())
}

async fn what_was_not_swept_before_a_restart_is_swept_after_it(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.open_minutes(NOW, Duration::ZERO, FIRST).await?;
    let ledger = ledger.restarted().await?;
    ledger.open_minutes(at(600_000), Duration::ZERO, FIRST).await?;
    let minutes = claim_all(&ledger, at(2_000_000)).await?;
    assert_eq!(numbers(&minutes), (0..=10).rev().collect::<Vec<_>>());
    Ok(())
}

async fn a_listing_takes_the_place_of_the_one_before(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let listed = |tenants: &[(&str, u64)]| {
        let listed = |spans: u64| Listed { objects: 1, spans };
        tenants
            .iter()
            .map(|(tenant, spans)| ((*tenant).to_owned(), listed(*spans)))
            .collect::<HashMap<_, _>>()
    };
    ledger.note_listing(minute(0), listed(&[("acme", 5), ("gone", 1)]), NOW).await?;
    ledger.note_listing(minute(1), listed(&[("acme", 2)]), NOW).await?;
    ledger.note_listing(minute(0), listed(&[("acme", 7), ("", 3)]), NOW).await?;
    let minutes = ledger.minutes(minute(0), minute(2)).await?;
    let accepted: Vec<_> =
        minutes.iter().map(|((at, tenant), counts)| (*at, tenant.as_str(), counts.accepted)).collect();
    assert_eq!(accepted, [(minute(0), "", 3), (minute(0), "acme", 7), (minute(1), "acme", 2)]);
    assert_eq!(ledger.minutes(minute(1), minute(2)).await?.len(), 1);
    Ok(())
}

async fn a_chore_has_one_holder_at_a_time(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let (one, two) = (Ulid::generate(), Ulid::generate());
    assert!(ledger.hold_chore("look", one, at(1_000), NOW).await?);
    assert!(!ledger.hold_chore("look", two, at(2_000), at(999)).await?);
    assert!(ledger.hold_chore("audit", two, at(2_000), at(999)).await?);
    assert!(ledger.hold_chore("look", one, at(3_000), at(999)).await?, "its holder keeps it");
    assert!(!ledger.hold_chore("look", two, at(4_000), at(2_999)).await?);
    assert!(ledger.hold_chore("look", two, at(4_000), at(3_000)).await?);
    assert!(!ledger.hold_chore("look", one, at(4_000), at(3_000)).await?);
    let ids: Vec<_> = (0..20).map(|_| Ulid::generate()).collect();
    let asked = ids.iter().map(|id| ledger.hold_chore("fresh", *id, at(1_000), NOW));
    let holders = try_join_all(asked).await?.into_iter().filter(|held| *held).count();
    assert_eq!(holders, 1);
    Ok(())
}
