//! Which ways notifications have come, and the canaries.

use anyhow::Result;
use origin_consumer::queue::{RouteCount, RouteStep};
use spillway_proto::UnixMillis;

use crate::objects::{NOW, body};
use crate::stores::{Kind, Ledger, on_both_stores};

on_both_stores!(
    another_route_than_the_last_is_a_step_and_each_kind_has_its_own,
    the_newest_canary_is_remembered,
    an_object_is_found_by_its_trace,
);

fn count(carried: &'static str, route: &str, seconds: u64) -> RouteCount {
    let (route, headers) = (route.to_owned(), "{}".to_owned());
    RouteCount { carried, route, headers, last_at: later(seconds), notifications: 2 }
}

fn later(seconds: u64) -> UnixMillis {
    UnixMillis(NOW.0 + seconds * 1000)
}

async fn another_route_than_the_last_is_a_step_and_each_kind_has_its_own(kind: Kind) -> Result<()> {
    const DAY: u64 = 86_400;
    let ledger = Ledger::open(kind).await?;
    let step = |from: &str, to: &str| RouteStep {
        carried: "notification",
        from: from.to_owned(),
        to: to.to_owned(),
    };
    let of = |route: &str, seconds| vec![count("notification", route, seconds)];
    assert_eq!(ledger.note_routes(of("a", 1), later(1)).await?, []);
    assert_eq!(ledger.note_routes(vec![count("canary", "c", 2)], later(2)).await?, []);
    assert_eq!(ledger.note_routes(of("a", 3), later(3)).await?, []);
    assert_eq!(ledger.route_changed_at().await?, None);

    assert_eq!(ledger.note_routes(of("b", 4), later(4)).await?, [step("a", "b")]);
    assert_eq!(ledger.note_routes(of("b", 5), later(5)).await?, []);
    assert_eq!(ledger.route_changed_at().await?, Some(later(4)));
    // A mixture.
    let both = [of("a", 6), of("b", 7)].concat();
    assert_eq!(ledger.note_routes(both, later(7)).await?, [step("b", "a")]);
    assert_eq!(ledger.note_routes(of("a", 8), later(8)).await?, [step("b", "a")]);
    assert_eq!(ledger.route_changed_at().await?, Some(later(8)));

    let known = ledger.routes().await?;
    let known: Vec<_> = known
        .iter()
        .map(|known| (known.route.as_str(), known.first_at, known.last_at, known.notifications))
        .collect();
    let expected = [("a", later(1), later(8), 8), ("b", later(4), later(7), 6), ("c", later(2), later(2), 2)];
    assert_eq!(known, expected);
    // What nobody has come by for months is forgotten, and what is known is not news.
    assert_eq!(ledger.note_routes(of("a", 100 * DAY), later(100 * DAY)).await?, []);
    assert_eq!(ledger.routes().await?.len(), 1);
    Ok(())
}

async fn the_newest_canary_is_remembered(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    assert_eq!(ledger.canary().await?, (None, None));
    ledger.note_canary(Some(later(9)), None).await?;
    ledger.note_canary(Some(later(3)), Some(later(2))).await?;
    assert_eq!(ledger.canary().await?, (Some(later(9)), Some(later(2))));
    Ok(())
}

async fn an_object_is_found_by_its_trace(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let (object, from) = (body("one").object(), UnixMillis(NOW.0 - 120_000));
    let trace_id = object.trace_context.trace_id_hex();
    assert_eq!(ledger.object_of_trace(&trace_id, from).await?, None);
    ledger.sweep_in(vec![object.clone()], NOW).await?;
    let found = ledger.object_of_trace(&trace_id, from).await?;
    assert!(found.is_some_and(|found| !found.is_notified && found.state == "pending"));
    ledger.take(&object).await?;
    let found = ledger.object_of_trace(&trace_id, from).await?;
    assert!(
        found.is_some_and(|found| found.is_notified && found.object_key == object.object_key.to_string())
    );
    assert_eq!(ledger.object_of_trace("0123456789abcdef0123456789abcdef", UnixMillis(0)).await?, None);
    assert_eq!(ledger.object_of_trace(&trace_id, later(120)).await?, None);
    Ok(())
}
