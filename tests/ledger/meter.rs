//! What the ledger counts.

use anyhow::Result;
use origin_consumer::queue::{Fault, Finding, IntakeCount, Listed, MinuteCounts, Setback};
use spillway_proto::UnixMillis;
use spillway_proto::notification::Notification;

use crate::objects::{NOW, at, body};
use crate::stores::{Kind, Ledger, on_both_stores};

on_both_stores!(every_span_is_counted_where_it_is, outcomes_of_notifications_add_up_by_minute);

async fn every_span_is_counted_where_it_is(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let spans = |text: &'static str, spans| body(text).spans(spans).object();
    let resend = spans("audited", 2);
    let [audited, stored, dead, discarded, batched, pending] = [
        spans("audited", 2),
        spans("stored", 3),
        spans("dead", 5),
        spans("discarded", 7),
        spans("batched", 11),
        spans("pending", 13),
    ];
    let set_back = |object: &Notification| {
        let object_key = object.object_key.clone();
        vec![Setback { object_key, fault: Fault::Fatal, reason: "broken".to_owned() }]
    };
    for object in [&audited, &stored] {
        ledger.take(object).await?;
        let batch = ledger.claim_at(NOW).await?;
        ledger.ack(&batch, NOW).await?;
    }
    ledger.note_audit(vec![(audited.object_key, Finding::Whole)], NOW, Default::default(), NOW).await?;
    for object in [&dead, &discarded] {
        ledger.take(object).await?;
        let batch = ledger.claim_at(NOW).await?;
        ledger.set_back(&batch, set_back(object), 5, NOW).await?;
    }
    ledger.discard(&discarded.object_key, "nobody wants it".to_owned(), NOW).await?;
    ledger.sweep_in(vec![batched], NOW).await?;
    ledger.claim_at(NOW).await?;
    ledger.take(&pending).await?;
    ledger.take(&resend).await?;
    ledger.take(&body("other").of("other").spans(17).object()).await?;
    ledger.take(&body("later").received(at(30_000)).spans(19).object()).await?;
    let minute = UnixMillis(NOW.0 - 40_000);
    let listed = [("acme".to_owned(), Listed { objects: 8, spans: 50 })];
    ledger.note_listing(minute, listed.into(), NOW).await?;

    let minutes = ledger.minutes(minute, UnixMillis(minute.0 + 60_000)).await?;
    let acme = MinuteCounts {
        accepted: 50,
        in_ledger: 43,
        duplicate: 2,
        stored: 5,
        audited: 2,
        dead: 5,
        discarded: 7,
        not_notified: 11,
    };
    let other = MinuteCounts { in_ledger: 17, ..MinuteCounts::default() };
    let expected =
        [("acme", acme), ("other", other)].map(|(tenant, counts)| ((minute, tenant.to_owned()), counts));
    assert_eq!(minutes, expected.into());
    assert_eq!(acme.outstanding(), 31, "seven of no known object, eleven in a batch, thirteen wait");
    assert_eq!(other.outstanding(), 17);
    let mut all = acme;
    all.add(&other);
    assert_eq!((all.accepted, all.in_ledger, all.outstanding()), (50, 60, 41));
    Ok(())
}

async fn outcomes_of_notifications_add_up_by_minute(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let count = |outcome: &str, notifications| IntakeCount { outcome: outcome.to_owned(), notifications };
    ledger.count_intake(NOW, vec![count("accepted", 2), count("duplicate", 1)]).await?;
    ledger.count_intake(at(19_999), vec![count("accepted", 3)]).await?;
    ledger.count_intake(at(20_000), vec![count("accepted", 5)]).await?;
    assert_eq!(ledger.intake_since(at(10)).await?, [count("accepted", 10), count("duplicate", 1)]);
    assert_eq!(ledger.intake_since(at(20_000)).await?, [count("accepted", 5)]);
    assert!(ledger.intake_since(at(80_000)).await?.is_empty());
    Ok(())
}
