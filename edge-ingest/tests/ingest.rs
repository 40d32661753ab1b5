//! The pipeline's decisions, natively, over ports that can fail, and can fail after having done their work.

mod doors;
mod world;

use edge_ingest::guard::guarded;
use edge_ingest::reject::Rejection;
use edge_ingest::response;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use pollster::block_on;
use spillway_proto::UnixMillis;
use spillway_proto::otlp::{Compression, Encoding, Repair, RulesVersion, decode};
use spillway_proto::probe::{ProbeKind, ProbeReport};
use spillway_proto::record::records_of;
use spillway_proto::{ObjectId, Sha256Digest};
use world::{Fault, KEY, Sent, World, export_of, gzip};

#[test]
fn a_stored_request_is_answered_empty_and_notified() {
    for (encoding, body) in [("application/x-protobuf", &b""[..]), ("application/json", b"{}")] {
        let world = World::default();
        let outcome = world.send(Sent::spans(3, encoding));
        assert_eq!((outcome.response.status().as_u16(), outcome.summary.code), (200, "accepted"));
        assert_eq!(outcome.response.body(), body);
        assert_eq!(outcome.response.headers()[CONTENT_TYPE], encoding);
        let stored = world.stored();
        let notification = outcome.notification.unwrap();
        assert_eq!(stored.key, notification.object_key);
        assert_eq!((notification.object_key.spans(), notification.bytes), (3, stored.bytes.len() as u64));
        assert_eq!(notification.sha256, stored.sha256);
    }
}

#[test]
fn the_object_holds_the_body_as_received() {
    let world = World::default();
    let body = gzip(&export_of(2));
    world.send(Sent {
        content_encoding: Some("gzip"),
        body: body.clone(),
        ..Sent::spans(2, "application/x-protobuf")
    });
    let stored = world.stored();
    let record = records_of(stored.bytes.into()).unwrap().remove(0);
    assert_eq!((record.tenant.as_str(), record.key_id.as_str()), ("acme", "k1"));
    assert_eq!((record.compression, &record.payload[..]), (Compression::Gzip, &body[..]));
    assert_eq!(
        stored.key.object_id(),
        ObjectId::new(&record.tenant, record.project.as_ref(), &export_of(2)),
        "of the message, however it is packed"
    );
}

#[test]
fn a_request_is_what_it_says_and_not_how_it_was_packed() {
    let protobuf = || Sent::spans(2, "application/x-protobuf");
    let id = |sent: Sent| {
        let world = World::default();
        let notification = world.send(sent).notification.unwrap();
        let metadata = world.stored().metadata;
        let beside = |name: &str| metadata.iter().find(|(known, _)| *known == name).unwrap().1.clone();
        let previous_id = notification.previous_id.unwrap();
        assert_eq!(beside("previous-id"), previous_id.to_string());
        assert_eq!((beside("rejected-spans").as_str(), notification.rejected_spans), ("0", Some(0)));
        (notification.object_key.object_id(), previous_id)
    };
    let (plain, previous) = id(protobuf());
    assert_eq!(
        previous,
        ObjectId::of_first_version(&"acme".parse().unwrap(), &Sha256Digest::of(&export_of(2)))
    );
    let later = gzip(&export_of(2));
    // The second of the compression stands in the header.
    let earlier: Vec<u8> =
        later.iter().enumerate().map(|(place, byte)| if place == 4 { byte ^ 1 } else { *byte }).collect();
    for body in [later, earlier] {
        let (gzipped, previous_of_gzipped) = id(Sent { body, content_encoding: Some("gzip"), ..protobuf() });
        assert_eq!(gzipped, plain);
        assert_ne!(previous_of_gzipped, previous);
    }
    let (json, _) = id(Sent::spans(2, "application/json"));
    assert_eq!(json, plain);
    let (of_another_key, _) = id(Sent { key: Some("other-key"), ..protobuf() });
    assert_eq!(of_another_key, plain);
    let (of_another_project, previous_of_another_project) =
        id(Sent { key: Some("other-project"), ..protobuf() });
    assert_ne!(of_another_project, plain);
    assert_eq!(previous_of_another_project, previous);
}

#[test]
fn what_is_repaired_is_told_as_a_partial_success_that_rejects_nothing() {
    let body = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[
        {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","startTimeUnixNano":1795230245678000000,
         "endTimeUnixNano":1795230245677000000,"attributes":[{"key":"\ud83d","value":{"intValue":"many"}}]}]}]}]}"#;
    let world = World::default();
    let outcome = world.send(Sent { body: body.to_vec(), ..Sent::spans(0, "application/json") });
    assert_eq!((outcome.response.status().as_u16(), outcome.summary.code), (200, "accepted"));
    let answer: serde_json::Value = serde_json::from_slice(outcome.response.body()).unwrap();
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "0");
    let message = answer["partialSuccess"]["errorMessage"].as_str().unwrap();
    for code in ["invalid_utf8", "wrong_type", "end_before_start"] {
        assert!(message.contains(&format!("repaired: {code} (1, ")), "{message}");
    }
    let record = records_of(world.stored().bytes.into()).unwrap().remove(0);
    let codes: Vec<_> = record.transcoding_repairs.as_slice()[0].repairs.iter().map(Repair::code).collect();
    assert_eq!((record.rules, codes), (RulesVersion::V2, vec!["invalid_utf8", "wrong_type"]));
    world.background(&mut world.send(Sent { body: body.to_vec(), ..Sent::spans(0, "application/json") }));
    assert_eq!(world.told.borrow()[0].counters["spans.repaired.wrong_type"], 2);
}

#[test]
fn json_is_stored_as_protobuf() {
    let world = World::default();
    world.send(Sent::spans(2, "application/json"));
    let record = records_of(world.stored().bytes.into()).unwrap().remove(0);
    let stored = decode(&record.payload, Encoding::Protobuf).unwrap();
    assert_eq!(stored, decode(&export_of(2), Encoding::Protobuf).unwrap());
}

#[test]
fn the_callers_trace_goes_on_below_its_span() {
    let world = World::default();
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let outcome = world.send(Sent { traceparent: Some(caller), ..Sent::spans(1, "application/json") });
    let notification = outcome.notification.unwrap();
    assert!(notification.trace_context.to_string().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert!(notification.trace_context.sampled);
    assert_eq!(notification.parent_span_id.as_deref(), Some("00f067aa0ba902b7"));
}

#[test]
fn without_a_caller_the_edge_begins_a_trace_that_is_not_sampled() {
    let outcome = World::default().send(Sent::spans(1, "application/json"));
    let notification = outcome.notification.unwrap();
    assert!(!notification.trace_context.sampled);
    assert_eq!(notification.parent_span_id, None);
}

#[test]
fn refusals_have_their_status_and_a_body_in_the_requests_type_and_store_nothing() {
    let good = || Sent::spans(1, "application/x-protobuf");
    let cases = [
        (Sent { key: None, ..good() }, 401, "missing_key"),
        (Sent { key: Some("wrong"), ..good() }, 401, "unknown_key"),
        (Sent { key: Some("revoked"), ..good() }, 401, "revoked_key"),
        (Sent { key: Some("spw_live_00_00"), ..good() }, 401, "mistyped_key"),
        (Sent { key: Some("expired"), ..good() }, 401, "key_expired"),
        (Sent { key: Some("early"), ..good() }, 401, "key_not_yet_valid"),
        (
            Sent { key: Some("page"), origin: Some("https://evil.example"), ..good() },
            403,
            "origin_not_allowed",
        ),
        (Sent { body: b"\xff\xff".to_vec(), ..good() }, 400, "malformed"),
        (Sent { content_encoding: Some("gzip"), ..good() }, 400, "corrupt_compression"),
        (Sent { content_encoding: Some("br"), ..good() }, 415, "unsupported_content_encoding"),
        (Sent { content_type: "text/plain", ..good() }, 415, "unsupported_content_type"),
        (Sent { body: vec![0; 100_001], ..good() }, 413, "body_too_large"),
        (Sent { body: vec![0; 100_001], announced: false, ..good() }, 413, "body_too_large"),
        (
            Sent { body: gzip(&vec![0; 200_001]), content_encoding: Some("gzip"), ..good() },
            413,
            "decompressed_too_large",
        ),
    ];
    for (sent, status, code) in cases {
        let world = World::default();
        let content_type =
            if sent.content_type == "text/plain" { "application/json" } else { sent.content_type };
        let outcome = world.send(sent);
        assert_eq!((outcome.response.status().as_u16(), outcome.summary.code), (status, code));
        assert_eq!(outcome.response.headers()[CONTENT_TYPE], content_type, "{code}");
        assert!(!world::status_message(&outcome.response).is_empty(), "{code}");
        assert!(outcome.response.headers().get(RETRY_AFTER).is_none(), "{code}");
        assert!(outcome.notification.is_none() && world.objects.borrow().is_empty(), "{code}");
    }
}

#[test]
fn over_the_rate_is_429_with_a_wait_that_exporters_survive() {
    let world = World::default();
    let send = || world.send(Sent { key: Some("slow"), ..Sent::spans(1, "application/json") });
    assert_eq!(send().response.status(), 200);
    let outcome = send();
    assert_eq!((outcome.response.status().as_u16(), outcome.summary.code), (429, "rate_limited"));
    assert_eq!(outcome.response.headers()[RETRY_AFTER], "1");
    assert_eq!(world.objects.borrow().len(), 1);
}

#[test]
fn stored_spans_are_counted_and_only_those() {
    let world = World::default();
    let metered = |sent: Sent| world.send_and_settle(Sent { key: Some("metered"), ..sent });
    let status = |sent: Sent| metered(sent).response.status().as_u16();
    assert_eq!(status(Sent::spans(7, "application/json")), 200);
    assert_eq!(status(Sent { body: b"{".to_vec(), ..Sent::spans(1, "application/json") }), 400);
    assert_eq!(world.counted("metered"), 7);
    let crossing = metered(Sent::spans(7, "application/json")).response;
    assert_eq!(crossing.status(), 200, "the quota of 10 was not reached before");
    assert_eq!(crossing.headers()["spillway-quota"], "spans=140%");
    let refused = metered(Sent::spans(1, "application/json")).response;
    assert_eq!(refused.status(), 403);
    assert!(world::status_message(&refused).contains("begins anew on 2026-12-01"));
    assert_eq!(world.counted("metered"), 14);
    world.now.set(UnixMillis(1_796_083_200_000));
    assert_eq!(status(Sent::spans(1, "application/json")), 200, "it is December");
}

#[test]
fn a_put_that_failed_is_not_counted() {
    for fault in [Fault::Put, Fault::PutAfterStoring, Fault::PutHangs] {
        let world = World::failing(fault);
        world.send_and_settle(Sent { key: Some("metered"), ..Sent::spans(7, "application/json") });
        assert_eq!(world.counted("metered"), 0, "{fault:?}");
    }
}

#[test]
fn a_settlement_whose_answer_is_lost_counts_once() {
    let world = World::failing(Fault::AllowanceAfterSettling);
    let send = || world.send_and_settle(Sent { key: Some("metered"), ..Sent::spans(3, "application/json") });
    send();
    assert_eq!(world.counted("metered"), 3);
    world.fault.set(None);
    send();
    assert_eq!(world.counted("metered"), 6);
}

#[test]
fn spans_and_bytes_have_their_limits_and_the_answer_names_them() {
    for (key, unit) in [("few-spans", "5 spans per second"), ("few-bytes", "9 bytes per second")] {
        let world = World::default();
        let send = || world.send_and_settle(Sent { key: Some(key), ..Sent::spans(20, "application/json") });
        assert_eq!(send().response.status(), 200, "a request passes whole");
        let refused = send();
        assert_eq!(refused.summary.code, "rate_limited");
        assert!(world::status_message(&refused.response).contains(unit), "{unit}");
        // What it overdrew is paid back before anything passes again.
        world.later(5_000);
        let later = send();
        assert_eq!(
            later.response.status(),
            if key == "few-spans" { 200 } else { 429 },
            "{:?}",
            later.summary
        );
        world.later(61_000);
        assert_eq!(send().response.status(), 200);
        assert_eq!(send().response.status(), 429);
    }
}

#[test]
fn a_busy_isolate_asks_about_once_a_second() {
    let world = World::default();
    let mut passed = 0;
    for _ in 0..100 {
        for _ in 0..10 {
            let outcome =
                world.send_and_settle(Sent { key: Some("busy"), ..Sent::spans(1, "application/json") });
            passed += usize::from(outcome.response.status() == 200);
        }
        world.later(100);
    }
    // A thousand requests in ten seconds, at the limit of 100 a second.
    assert!((900..=1_000).contains(&passed), "{passed} passed");
    // Every request of this test settles at once, which asks as well.
    let for_leases = world.asks.get() - passed;
    assert!(for_leases <= 60, "{for_leases} asks");
}

#[test]
fn isolates_share_a_limit_and_pass_it_by_no_more_than_their_leases() {
    let first = World::default();
    let isolates = [first.another_isolate(), first.another_isolate(), first.another_isolate(), first];
    let mut passed = 0;
    for _ in 0..50 {
        for _ in 0..50 {
            for world in &isolates {
                let outcome = world.send(Sent { key: Some("busy"), ..Sent::spans(1, "application/json") });
                passed += i32::from(outcome.response.status() == 200);
            }
        }
        isolates.iter().for_each(|world| world.later(100));
    }
    // Five seconds at 100 a second, and the burst of 100; a lease is at most a second's worth.
    let allowed = 5 * 100 + 100;
    assert!(passed <= allowed + 4 * 100, "{passed} passed");
    assert!(passed >= 5 * 100 * 9 / 10, "{passed} passed");
}

#[test]
fn while_the_object_is_away_the_last_lease_serves_and_then_the_configuration_decides() {
    let sent = || Sent { key: Some("metered"), ..Sent::spans(1, "application/json") };
    let world = World::failing(Fault::Allowance);
    let outcome = world.send(sent());
    assert_eq!(outcome.response.status(), 200, "open by default");
    assert_eq!(outcome.summary.faults.len(), 1, "and told in the log");
    for vars in [("QUOTAS_ON_FAULT", "closed"), ("RATE_LIMITS_ON_FAULT", "closed")] {
        let world = World::default().with(&[vars]);
        assert_eq!(world.send(sent()).response.status(), 200);
        world.fault.set(Some(Fault::Allowance));
        assert_eq!(world.send(sent()).response.status(), 200, "the lease is not spent");
        let world = World::failing(Fault::Allowance).with(&[vars]);
        let refused = world.send(sent());
        assert_eq!((refused.response.status().as_u16(), refused.summary.code), (503, "fault"), "{vars:?}");
    }
    // Whatever is away, no isolate passes more than the limit by itself.
    let world = World::failing(Fault::Allowance);
    let passed = (0..300)
        .filter(|_| {
            world.send(Sent { key: Some("busy"), ..Sent::spans(1, "application/json") }).response.status()
                == 200
        })
        .count();
    assert_eq!(passed, 100);
}

#[test]
fn what_could_not_be_settled_is_settled_later() {
    let world = World::failing(Fault::Allowance);
    world.send_and_settle(Sent { key: Some("metered"), ..Sent::spans(3, "application/json") });
    assert_eq!(world.counted("metered"), 0);
    world.fault.set(None);
    world.send_and_settle(Sent { key: Some("metered"), ..Sent::spans(4, "application/json") });
    assert_eq!(world.counted("metered"), 7);
}

#[test]
fn keys_are_remembered_misses_for_less_and_an_old_record_serves_while_the_store_is_away() {
    let world = World::default();
    let send =
        |key| world.send(Sent { key: Some(key), ..Sent::spans(1, "application/json") }).response.status();
    for _ in 0..5 {
        assert_eq!((send(KEY).as_u16(), send("wrong").as_u16()), (200, 401));
    }
    assert_eq!(world.lookups.get(), 2);
    world.later(5_000);
    send(KEY);
    send("wrong");
    assert_eq!(world.lookups.get(), 3, "the miss is asked for again");
    world.later(55_000);
    world.fault.set(Some(Fault::Keys));
    assert_eq!(send(KEY).as_u16(), 200, "stale, and still good");
    assert_eq!(send("early").as_u16(), 503, "never seen");
    world.later(3_600_000);
    assert_eq!(send(KEY).as_u16(), 503, "too old");
}

#[test]
fn a_record_that_cannot_be_read_is_the_fault_of_its_own_key() {
    let world = World::default();
    let send = |key| world.send(Sent { key: Some(key), ..Sent::spans(1, "application/json") });
    for _ in 0..10 {
        assert_eq!(send("broken").response.status(), 503);
    }
    assert!(send("broken").summary.faults[0].to_string().contains("quota"));
    assert_eq!(send(KEY).response.status(), 200, "the store is asked for other keys");
}

#[test]
fn nobody_without_a_key_is_traced() {
    let world = World::default();
    let caller = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    world.send(Sent { key: None, traceparent: caller, ..Sent::spans(1, "application/json") });
    world.send_and_settle(Sent::spans(1, "application/json"));
    assert!(world.told.borrow().iter().all(|batch| batch.spans.is_empty()));
}

#[test]
fn a_tenant_that_was_forgotten_still_counts() {
    let world = World::default();
    let send = || world.send_and_settle(Sent { key: Some("metered"), ..Sent::spans(2, "application/json") });
    send();
    send();
    let again = world.forgetful();
    again.send_and_settle(Sent { key: Some("metered"), ..Sent::spans(2, "application/json") });
    assert_eq!(again.counted("metered"), 6);
}

#[test]
fn bodies_beyond_what_an_isolate_holds_are_told_to_come_back() {
    let world = World::default().with(&[("MAX_BODIES_BYTES", "1000")]);
    for announced in [true, false] {
        let outcome = world.send(Sent { announced, ..Sent::spans(100, "application/json") });
        assert_eq!((outcome.response.status().as_u16(), outcome.summary.code), (503, "busy"));
    }
    assert_eq!(world.send(Sent::spans(1, "application/json")).response.status(), 200);
}

#[test]
fn a_tenants_own_limits_hold_and_go_with_the_object() {
    let world = World::default();
    let outcome = world.send(Sent { key: Some("strict"), ..Sent::spans(1, "application/json") });
    assert_eq!(outcome.summary.verdict.repaired[0].repair, Repair::NameCut);
    let record = records_of(world.stored().bytes.into()).unwrap().remove(0);
    assert_eq!(record.span_limits.max_name_bytes, 0);
    let world = World::default();
    world.send(Sent::spans(1, "application/json"));
    let record = records_of(world.stored().bytes.into()).unwrap().remove(0);
    assert_eq!(record.span_limits, Default::default());
    assert_eq!((record.received_at, record.project.unwrap().as_str()), (world::NOW, "shop"));
}

#[test]
fn an_empty_request_succeeds_and_stores_nothing() {
    for (content_type, body) in [("application/x-protobuf", &b""[..]), ("application/json", b"{}")] {
        let world = World::default();
        let outcome = world.send(Sent { body: body.to_vec(), ..Sent::spans(0, content_type) });
        assert_eq!((outcome.response.status().as_u16(), outcome.summary.code), (200, "empty"));
        assert_eq!(outcome.response.body(), body);
        assert!(outcome.notification.is_none() && world.objects.borrow().is_empty());
    }
}

#[test]
fn some_invalid_spans_make_a_partial_success() {
    let body = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[
        {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","startTimeUnixNano":1795230245678000000},
        {"traceId":"00"}]}]}]}"#;
    let world = World::default();
    let outcome = world.send(Sent { body: body.to_vec(), ..Sent::spans(0, "application/json") });
    assert_eq!((outcome.response.status().as_u16(), outcome.summary.code), (200, "partial"));
    let answer: serde_json::Value = serde_json::from_slice(outcome.response.body()).unwrap();
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "1");
    assert!(answer["partialSuccess"]["errorMessage"].as_str().unwrap().starts_with("invalid_trace_id"));
    assert_eq!(world.stored().key.spans(), 1);
}

#[test]
fn faults_of_ours_are_503_so_that_exporters_keep_the_batch() {
    for fault in [Fault::Keys, Fault::Put, Fault::PutAfterStoring] {
        let world = World::failing(fault);
        let outcome = world.send(Sent { key: Some("metered"), ..Sent::spans(1, "application/json") });
        assert_eq!((outcome.response.status().as_u16(), outcome.summary.code), (503, "fault"), "{fault:?}");
        assert_eq!(outcome.response.headers()[RETRY_AFTER], "2");
        let message = world::status_message(&outcome.response);
        assert!(!message.contains(world::DETAIL), "the detail is for the log: {message}");
        assert_eq!(outcome.summary.faults[0].detail, world::DETAIL);
    }
}

#[test]
fn a_resend_after_a_lost_answer_is_the_same_object_to_the_ledger() {
    let world = World::failing(Fault::PutAfterStoring);
    let first = world.send(Sent::spans(1, "application/json"));
    assert_eq!(first.response.status(), 503);
    world.fault.set(None);
    assert_eq!(world.send(Sent::spans(1, "application/json")).response.status(), 200);
    let ids: Vec<_> = world.objects.borrow().iter().map(|object| object.key.object_id()).collect();
    assert_eq!((ids.len(), ids[0]), (2, ids[1]));
}

#[test]
fn a_put_that_outlives_its_deadline_is_503_and_harmless_when_it_succeeds() {
    let world = World::failing(Fault::PutHangs);
    let outcome = world.send(Sent::spans(1, "application/json"));
    assert_eq!((outcome.response.status().as_u16(), outcome.summary.code), (503, "fault"));
    assert_eq!(outcome.response.headers()[RETRY_AFTER], "2");
    world.fault.set(None);
    assert_eq!(world.send(Sent::spans(1, "application/json")).response.status(), 200);
    let ids: Vec<_> = world.objects.borrow().iter().map(|object| object.key.object_id()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "one request to the ledger");
}

#[test]
fn a_body_that_takes_too_long_is_503_so_that_the_client_keeps_its_batch() {
    let world = World::failing(Fault::SlowBody);
    let outcome = world.send(Sent::spans(50, "application/json"));
    assert_eq!((outcome.response.status().as_u16(), outcome.summary.code), (503, "body_timeout"));
}

#[test]
fn a_body_that_breaks_off_is_the_clients_fault() {
    let world = World::failing(Fault::Body);
    let outcome = world.send(Sent { key: Some(KEY), ..Sent::spans(1, "application/json") });
    assert_eq!((outcome.response.status().as_u16(), outcome.summary.code), (400, "body_unreadable"));
}

#[test]
fn a_notification_is_signed_and_tried_again() {
    let world = World::failing(Fault::Notify { times: 2 });
    let mut outcome = world.send(Sent::spans(1, "application/json"));
    let report = world.background(&mut outcome);
    assert_eq!(report.notified.unwrap().by, Some("http"));
    assert_eq!(world.notified.borrow().len(), 3);
    for (_, sent) in world.notified.borrow().iter() {
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&sent.body).unwrap()["tenant"], "acme");
        assert_eq!(world::verify(sent), Ok(()));
    }
}

#[test]
fn a_notification_that_nobody_takes_is_given_up() {
    let world = World::failing(Fault::Notify { times: 99 });
    let mut outcome = world.send(Sent::spans(1, "application/json"));
    let notified = world.background(&mut outcome).notified.unwrap();
    assert_eq!((notified.by, notified.faults.len()), (None, 1));
    assert_eq!(world.notified.borrow().len(), 3);
}

#[test]
fn the_fallback_takes_what_the_first_way_did_not_and_the_breaker_spares_the_wait() {
    let world = World::failing(Fault::NotifyByHttp).with(&[("NOTIFY_FALLBACK", "queue")]);
    for _ in 0..4 {
        let mut outcome = world.send(Sent::spans(1, "application/json"));
        assert_eq!(world.background(&mut outcome).notified.unwrap().by, Some("queue"));
    }
    let by_http = || world.notified.borrow().iter().filter(|(by, _)| *by == "http").count();
    assert_eq!(by_http(), 5, "after five failures it is left alone");
    world.later(30_000);
    world.fault.set(None);
    let mut outcome = world.send(Sent::spans(1, "application/json"));
    assert_eq!(world.background(&mut outcome).notified.unwrap().by, Some("http"));
}

#[test]
fn requests_are_counted_and_traced_by_step_and_no_count_is_lost() {
    let world = World::failing(Fault::Metrics);
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut outcome = world.send(Sent { traceparent: Some(caller), ..Sent::spans(2, "application/json") });
    assert!(outcome.notification.as_ref().unwrap().edge_reports_span);
    assert_eq!(world.background(&mut outcome).faults.len(), 1);
    world.fault.set(None);
    world.send_and_settle(Sent { traceparent: Some(caller), ..Sent::spans(3, "application/json") });
    let told = world.told.borrow();
    let batch = told.last().unwrap();
    let sum = |name: &str| told.iter().filter_map(|batch| batch.counters.get(name)).sum::<u64>();
    assert_eq!((sum("requests.accepted"), sum("spans.accepted"), sum("notifications.http")), (2, 5, 2));
    let names: Vec<_> = batch.spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["auth", "allowance", "read", "validate", "store", "ingest", "notify"]);
    let ingest = batch.spans.iter().find(|span| span.is_request).unwrap();
    assert_eq!(ingest.parent_span_id.as_deref(), Some("00f067aa0ba902b7"));
    assert!(batch.spans.iter().all(|span| span.context.trace_id == ingest.context.trace_id));
    assert_eq!(batch.spans[0].parent_span_id, Some(ingest.context.span_id_hex()));
}

#[test]
fn what_the_edge_tells_becomes_spans_of_the_operator() {
    let world = World::default();
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    world.send_and_settle(Sent { traceparent: Some(caller), ..Sent::spans(2, "application/json") });
    let batch = world.told.borrow()[0].clone();
    let export = decode(&edge_ingest::operator::export_of(batch), Encoding::Protobuf).unwrap();
    let spans = &export.resource_spans[0].scope_spans[0].spans;
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(
        names,
        ["auth", "allowance", "read", "validate", "store", "ingest", "notify", "edge counters"]
    );
    assert!(spans.last().unwrap().attributes.iter().any(|count| count.key == "requests.accepted"));
}

#[test]
fn a_signed_request_is_told_the_usage_and_no_other() {
    let world = World::default();
    world.send_and_settle(Sent { key: Some("metered"), ..Sent::spans(7, "application/json") });
    let body = br#"{"tenant":"metered","month":"2026-11"}"#;
    assert_eq!(world.usage(body, &world::sign(body)).unwrap()["spans"], 7);
    assert_eq!(world.usage(body, "v1,t=1,mac=00").unwrap_err(), "bad_signature");
    let other = br#"{"tenant":"metered","month":"2026-12"}"#;
    assert_eq!(world.usage(other, &world::sign(body)).unwrap_err(), "bad_signature");
}

#[test]
fn a_canary_is_stored_notified_and_probes_the_way_with_its_object() {
    let world = World::default().with(&[("CANARY_TENANT", "canaries")]);
    let canary = world.canary();
    assert!(canary.rejection.is_none() && canary.notified.unwrap().by == Some("http"));
    assert_eq!(canary.probed.route.unwrap().name, "worker-12345678");
    let (object, key) = (world.stored(), world.stored().key);
    let record = records_of(object.bytes.into()).unwrap().remove(0);
    assert_eq!((record.tenant.as_str(), record.key_id.as_str()), ("canaries", "canary"));
    let request = decode(&record.payload, Encoding::Protobuf).unwrap();
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!((span.name.as_str(), span.attributes[0].key.as_str()), ("canary", "spillway.canary"));
    let probed = world.probed.borrow();
    assert_eq!(
        (probed[0].0.as_str(), &probed[0].1.object_key),
        ("http://origin.example/v1/traces", &Some(key))
    );
    assert_eq!(probed[0].1.kind, ProbeKind::Canary);
}

#[test]
fn a_canary_that_cannot_be_stored_probes_the_way_all_the_same() {
    let world = World::failing(Fault::Put);
    let canary = world.canary();
    assert!(canary.rejection.is_some() && canary.notified.is_none());
    assert_eq!((canary.probed.status, world.probed.borrow()[0].1.object_key.as_ref()), (Some(200), None));
}

#[test]
fn a_signed_request_is_told_by_which_way_notifications_go_and_no_other() {
    let asked = br#"{"asked_at_unix_ms":1795230245678}"#;
    let world = World::default();
    let report = world.probe(asked, &world::sign(asked)).unwrap();
    assert_eq!((report.status, report.fault), (Some(200), None));
    assert_eq!(world.probed.borrow()[0].1.kind, ProbeKind::Asked);
    assert_eq!(world.probe(asked, "v1,t=1,mac=00").unwrap_err(), "bad_signature");
    assert_eq!(world.probe(b"{}", &world::sign(b"{}")).unwrap_err(), "bad_signature");
    assert_eq!(world.probed.borrow().len(), 1);

    let stopped = World::failing(Fault::Notify { times: 1 }).probe(asked, &world::sign(asked)).unwrap();
    assert_eq!(
        (stopped.status, stopped.mitigated.as_deref(), stopped.route),
        (Some(403), Some("challenge"), None)
    );
    let silent = World::failing(Fault::NotifyByHttp).probe(asked, &world::sign(asked)).unwrap();
    assert!(silent.status.is_none() && silent.fault.is_some());
    let queue = World::default().with(&[("NOTIFY_TRANSPORT", "queue")]);
    assert_eq!(queue.probe(asked, &world::sign(asked)).unwrap(), ProbeReport::default());
}

#[test]
fn a_panic_is_a_fault_of_its_own_request_and_of_no_other() {
    let world = World::failing(Fault::KeysPanic);
    let panicked = block_on(guarded(async { world.send(Sent::spans(1, "application/json")) }));
    let fault = panicked.unwrap_err();
    assert!(fault.to_string().starts_with("panic: ") && fault.detail.contains(world::DETAIL), "{fault}");
    let answer = response::rejected(&Rejection::Fault(fault), Encoding::Json);
    assert_eq!((answer.status().as_u16(), &answer.headers()[RETRY_AFTER]), (503, &HeaderValue::from(2)));
    assert!(!world::status_message(&answer).contains(world::DETAIL));
    world.fault.set(None);
    assert_eq!(world.send(Sent::spans(1, "application/json")).response.status(), 200);
}

#[test]
fn the_log_has_the_message_of_a_panic_of_either_kind() {
    let detail = |panic: fn()| block_on(guarded(async move { panic() })).unwrap_err().detail;
    assert_eq!(detail(|| panic!("plain")), "plain");
    assert_eq!(detail(|| panic!("of {}", "many parts")), "of many parts");
    assert_eq!(detail(|| std::panic::panic_any(7)), "without a message");
}
