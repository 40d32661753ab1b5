//! Notifications that come through a Cloudflare Queue. The origin is the real one; Cloudflare's API is a stand-in.

use std::time::{Duration, Instant};

use anyhow::Result;
use local_stack::edge::NotificationQueue;
use local_stack::http;
use spillway_proto::UnixMillis;
use spillway_proto::notification::{CONTENT_TYPE, Notification};
use spillway_proto::signature::HEADER;
use spillway_tests::cloudflare_queue::{
    ACCOUNT, Call, CloudflareQueue, Fault, QUEUE, READ_ONLY_TOKEN, Sent, TOKEN,
};
use spillway_tests::export::Export;
use spillway_tests::lone_origin::{LoneOrigin, SIGNING_KEY};
use spillway_tests::metrics::{self, await_metric};
use spillway_tests::notification::{notification, now, queued};
use spillway_tests::stack::{ARRIVAL, Setup, TestStack};

const TEN_DAYS_MS: u64 = 10 * 24 * 60 * 60 * 1000;

#[tokio::test]
async fn what_comes_twice_is_enqueued_once() -> Result<()> {
    let cloudflare = CloudflareQueue::start().await?;
    let origin = start(&cloudflare, &[]).await?;
    let mut sent = Vec::new();
    for n in 0..150 {
        let notification = notification(&n.to_string())?;
        cloudflare.send(text(&notification)?);
        match n % 10 {
            // A producer that tried again, and one that sends JSON.
            0 => cloudflare.send(text(&notification)?),
            1 => cloudflare.send(json(&notification)?),
            _ => {}
        }
        sent.push(notification);
    }
    await_outcome(&origin, "Enqueued", 150).await?;
    await_outcome(&origin, "Known", 30).await?;
    // And once more, by the other transport.
    let again = queued(&sent[0], SIGNING_KEY, now())?;
    let request = http::client().post(format!("{}/v1/traces", origin.origin.url));
    let request = request.header("content-type", CONTENT_TYPE).header(HEADER, again.signature);
    assert_eq!(request.body(again.notification).send().await?.status(), 202);
    await_metric(
        &origin.origin.url,
        "spillway_notifications_total{outcome=\"Known\",transport=\"http\"} 1\n",
    )
    .await?;
    await_empty(&cloudflare).await?;
    await_metric(&origin.origin.url, "spillway_queue_pull_backlog 0\n").await?;
    assert_eq!((cloudflare.acknowledged(), cloudflare.deliveries()), (180, 180));
    assert_enqueued(origin, sent).await
}

#[tokio::test]
async fn what_will_never_be_good_is_dropped_and_counted() -> Result<()> {
    let cloudflare = CloudflareQueue::start().await?;
    let origin = start(&cloudflare, &[]).await?;
    let good = notification("good")?;
    let foreign = queued(&good, "another key of thirty-two bytes!", now())?;
    let mut changed = queued(&good, SIGNING_KEY, now())?;
    changed.notification = changed.notification.replace("acme", "evil");
    let mut unread = queued(&good, SIGNING_KEY, now())?;
    unread.notification = "\"marker-in-the-content\"".to_owned();
    unread.signature =
        spillway_proto::signature::sign(SIGNING_KEY.as_bytes(), now(), unread.notification.as_bytes());
    let mut large = queued(&good, SIGNING_KEY, now())?;
    large.notification = format!("\"{}\"", "x".repeat(100_000));
    let old = queued(&good, SIGNING_KEY, UnixMillis(now().0 - TEN_DAYS_MS))?;
    for bad in [&foreign, &changed, &unread, &large, &old] {
        cloudflare.send(Sent::text(serde_json::to_string(bad)?));
    }
    cloudflare.send(Sent::text("marker-in-the-content"));
    cloudflare.send(Sent::json("marker-in-the-content".into()));
    cloudflare.send(Sent { content_type: "v8".to_owned(), ..text(&good)? });
    for (outcome, count) in [("BadSignature", 2), ("TooLarge", 1), ("Malformed", 4), ("Enqueued", 1)] {
        await_outcome(&origin, outcome, count).await?;
    }
    await_empty(&cloudflare).await?;
    assert_eq!(cloudflare.deliveries(), 8, "none of them comes again");
    let log = origin.log()?;
    assert_eq!(log.matches("a message of the Cloudflare Queue is dropped").count(), 7, "{log}");
    for secret in [TOKEN, SIGNING_KEY, "marker-in-the-content", "evil"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
    assert_enqueued(origin, vec![good]).await
}

#[tokio::test]
async fn an_api_that_is_away_costs_time_and_nothing_else() -> Result<()> {
    let mut cloudflare = CloudflareQueue::start().await?;
    cloudflare.down().await;
    let origin = start(&cloudflare, &[]).await?;
    let sent = notification("a")?;
    cloudflare.send(text(&sent)?);
    await_pull(&origin, "Failed").await?;
    assert_eq!(http::client().get(format!("{}/readyz", origin.origin.url)).send().await?.status(), 200);
    cloudflare.up().await?;
    await_outcome(&origin, "Enqueued", 1).await?;
    await_empty(&cloudflare).await?;
    assert_enqueued(origin, vec![sent]).await
}

#[tokio::test]
async fn whatever_answer_is_lost_nothing_is_lost_and_nothing_doubled() -> Result<()> {
    for (call, fault, known) in [
        // The acknowledgement was not heard: all of it comes again.
        (Call::Ack, Fault::Refuse(500, None), 3),
        (Call::Ack, Fault::LoseAnswer, 0),
        (Call::Pull, Fault::Refuse(500, None), 0),
        // Leased to nobody: it comes when the lease has run out.
        (Call::Pull, Fault::LoseAnswer, 0),
        (Call::Pull, Fault::Late(Duration::from_secs(3)), 0),
    ] {
        let cloudflare = CloudflareQueue::start().await?;
        let sent: Vec<_> = ["a", "b", "c"].map(notification).into_iter().collect::<Result<_>>()?;
        for notification in &sent {
            cloudflare.send(text(notification)?);
        }
        cloudflare.fail(call, fault.clone());
        let origin = start(&cloudflare, &[("QUEUE_PULL__TIMEOUT_SECONDS", "1")]).await?;
        await_outcome(&origin, "Enqueued", 3).await?;
        await_empty(&cloudflare).await?;
        await_pull(&origin, if call == Call::Ack { "Unacknowledged" } else { "Failed" }).await?;
        if known > 0 {
            await_outcome(&origin, "Known", known).await?;
        }
        assert_eq!(cloudflare.deleted(), 0, "{call:?} {fault:?}");
        assert_enqueued(origin, sent).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_the_ledger_does_not_take_is_given_back() -> Result<()> {
    let cloudflare = CloudflareQueue::start().await?;
    let origin = start(&cloudflare, &[]).await?;
    let ledger = rusqlite::Connection::open(origin.queue_path())?;
    ledger.busy_timeout(ARRIVAL)?;
    ledger.execute_batch("ALTER TABLE objects RENAME TO objects_elsewhere")?;
    let sent = notification("a")?;
    cloudflare.send(text(&sent)?);
    await_outcome(&origin, "QueueUnavailable", 1).await?;
    await_pull(&origin, "Postponed").await?;
    assert_eq!((cloudflare.acknowledged(), cloudflare.backlog()), (0, 1));
    ledger.execute_batch("ALTER TABLE objects_elsewhere RENAME TO objects")?;
    // Later than the lease would have run out.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(cloudflare.deliveries(), 1, "it waits for as long as was asked for");
    cloudflare.make_visible();
    await_outcome(&origin, "Enqueued", 1).await?;
    await_empty(&cloudflare).await?;
    assert_enqueued(origin, vec![sent]).await
}

#[tokio::test]
async fn a_token_that_may_not_pull_is_counted_and_not_shown() -> Result<()> {
    let cloudflare = CloudflareQueue::start().await?;
    for token in [READ_ONLY_TOKEN, "a-token-that-nobody-knows"] {
        let origin = start(&cloudflare, &[("QUEUE_PULL__API_TOKEN", token)]).await?;
        await_pull(&origin, "Refused").await?;
        let log = origin.log()?;
        assert!(log.contains("10000 Authentication error") && !log.contains(token), "{log}");
        assert_enqueued(origin, vec![]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn told_when_to_come_back_it_waits_until_then() -> Result<()> {
    let cloudflare = CloudflareQueue::start().await?;
    cloudflare.fail(Call::Pull, Fault::Refuse(429, Some(3)));
    let origin = start(&cloudflare, &[]).await?;
    await_pull(&origin, "RateLimited").await?;
    await_pull(&origin, "Empty").await?;
    let calls = cloudflare.calls(Call::Pull);
    assert!(calls[1] - calls[0] >= Duration::from_secs(3), "{:?}", calls[1] - calls[0]);
    assert_enqueued(origin, vec![]).await
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() -> Result<()> {
    let cloudflare = CloudflareQueue::start().await?;
    cloudflare.fail(Call::Pull, Fault::Flood(32 << 20));
    let origin = start(&cloudflare, &[("QUEUE_PULL__BATCH_SIZE", "1")]).await?;
    let sent = notification("a")?;
    cloudflare.send(text(&sent)?);
    await_outcome(&origin, "Enqueued", 1).await?;
    assert!(metrics::text(&origin.origin.url).await?.contains("queue_pulls_total{outcome=\"Failed\"} 1"));
    assert!(origin.log()?.contains("its answer is larger than"));
    await_empty(&cloudflare).await?;
    assert_enqueued(origin, vec![sent]).await
}

#[tokio::test]
async fn sigterm_finishes_the_batch_in_hand() -> Result<()> {
    let cloudflare = CloudflareQueue::start().await?;
    let sent = notification("a")?;
    cloudflare.send(text(&sent)?);
    cloudflare.fail(Call::Pull, Fault::Late(Duration::from_secs(1)));
    let origin = start(&cloudflare, &[]).await?;
    let deadline = Instant::now() + ARRIVAL;
    while cloudflare.deliveries() == 0 {
        anyhow::ensure!(Instant::now() < deadline, "nothing was pulled");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_enqueued(origin, vec![sent]).await?;
    assert_eq!((cloudflare.acknowledged(), cloudflare.calls(Call::Pull).len()), (1, 1));
    Ok(())
}

#[tokio::test]
async fn the_edge_notifies_through_the_queue() -> Result<()> {
    let cloudflare = CloudflareQueue::start().await?;
    let pull = pull_variables(&cloudflare);
    let pull: Vec<_> = pull.iter().map(|(name, value)| (format!("SPILLWAY_{name}"), value.clone())).collect();
    let mut origin_vars: Vec<_> = pull.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    // What arrives was notified, not swept.
    origin_vars.push(("SPILLWAY_SWEEP__GRACE_SECONDS", "3600"));
    let stack = TestStack::start_with(Setup {
        edge_vars: vec![("NOTIFY_TRANSPORT", "queue"), ("NOTIFY_URL", "http://127.0.0.1:9/v1/traces")],
        origin_vars,
        notification_queue: Some(NotificationQueue {
            push_url: cloudflare.push_url(),
            token: TOKEN.to_owned(),
        }),
        ..Setup::default()
    })
    .await?;
    let export = Export::new(3);
    export.accepted(&stack).await?;
    stack.await_trace(&export.trace_id, 3).await?;
    let line = "spillway_notifications_total{outcome=\"Enqueued\",transport=\"queue\"} 1\n";
    await_metric(&stack.origin.url, line).await?;
    await_empty(&cloudflare).await?;
    stack.stop_now().await
}

/// The origin, on the stand-in's queue.
async fn start(cloudflare: &CloudflareQueue, more: &[(&'static str, &str)]) -> Result<LoneOrigin> {
    let mut variables = pull_variables(cloudflare);
    variables.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    LoneOrigin::start(&variables).await
}

fn pull_variables(cloudflare: &CloudflareQueue) -> Vec<(&'static str, String)> {
    vec![
        ("CLOUDFLARE__API_URL", cloudflare.api_url.clone()),
        ("QUEUE_PULL__API_TOKEN", TOKEN.to_owned()),
        ("CLOUDFLARE__ACCOUNT_ID", ACCOUNT.to_owned()),
        // The stand-in refuses it: it is for keys.
        ("CLOUDFLARE__API_TOKEN", "a-token-that-may-not-pull".to_owned()),
        ("QUEUE_PULL__QUEUE_ID", QUEUE.to_owned()),
        ("QUEUE_PULL__VISIBILITY_TIMEOUT_SECONDS", "2".to_owned()),
        ("QUEUE_PULL__IDLE_SECONDS", "1".to_owned()),
    ]
}

/// As the edge sends it.
fn text(notification: &Notification) -> Result<Sent> {
    Ok(Sent::text(serde_json::to_string(&queued(notification, SIGNING_KEY, now())?)?))
}

fn json(notification: &Notification) -> Result<Sent> {
    Ok(Sent::json(serde_json::to_value(queued(notification, SIGNING_KEY, now())?)?))
}

async fn await_outcome(origin: &LoneOrigin, outcome: &str, count: u32) -> Result<()> {
    let line = format!("spillway_notifications_total{{outcome=\"{outcome}\",transport=\"queue\"}} {count}\n");
    await_metric(&origin.origin.url, &line).await
}

async fn await_pull(origin: &LoneOrigin, outcome: &str) -> Result<()> {
    await_metric(&origin.origin.url, &format!("spillway_queue_pulls_total{{outcome=\"{outcome}\"}}")).await
}

async fn await_empty(cloudflare: &CloudflareQueue) -> Result<()> {
    let deadline = Instant::now() + ARRIVAL;
    while cloudflare.backlog() > 0 {
        anyhow::ensure!(Instant::now() < deadline, "{} messages wait", cloudflare.backlog());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Ends the origin well, and looks whether its queue holds exactly these.
async fn assert_enqueued(origin: LoneOrigin, mut expected: Vec<Notification>) -> Result<()> {
    expected.sort_by_key(|notification| notification.object_key.to_string());
    assert_eq!(origin.stop().await?, expected);
    Ok(())
}
