//! The pipeline's decisions, natively, over ports that can fail, and can fail after having done their work.

mod world;

use edge_ingest::guard::guarded;
use edge_ingest::reject::Rejection;
use edge_ingest::response;
use http::HeaderValue;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use pollster::block_on;
use spillway_proto::ObjectId;
use spillway_proto::otlp::{Compression, Encoding, decode};
use spillway_proto::record::records_of;
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
    assert_eq!(stored.key.object_id(), ObjectId::of(&record.tenant, &body));
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
        (Sent { key: Some("used-up"), ..good() }, 403, "quota_exceeded"),
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
        (Sent { path: "/v1/metrics", ..good() }, 404, "unknown_path"),
        (Sent { method: "GET", ..good() }, 405, "method_not_allowed"),
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
fn a_wrong_method_is_told_the_right_one() {
    let outcome = World::default().send(Sent { method: "PUT", ..Sent::spans(1, "application/json") });
    assert_eq!(outcome.response.headers()[ALLOW], "POST");
}

#[test]
fn every_path_of_an_exporter_is_taken() {
    for path in ["/v1/traces", "/v1/traces/", "/"] {
        let outcome = World::default().send(Sent { path, ..Sent::spans(1, "application/json") });
        assert_eq!(outcome.response.status(), 200, "{path}");
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
    let metered = |sent: Sent| world.send(Sent { key: Some("metered"), ..sent }).response.status().as_u16();
    assert_eq!(metered(Sent::spans(7, "application/json")), 200);
    assert_eq!(metered(Sent { body: b"{".to_vec(), ..Sent::spans(1, "application/json") }), 400);
    assert_eq!(world.counted("metered"), 7);
    assert_eq!(metered(Sent::spans(7, "application/json")), 200, "the quota of 10 was not reached before");
    assert_eq!(metered(Sent::spans(1, "application/json")), 403);
    assert_eq!(world.counted("metered"), 14);
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
        {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"},{"traceId":"00"}]}]}]}"#;
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
    for fault in [Fault::Keys, Fault::UsageRead, Fault::Put, Fault::PutAfterStoring] {
        let world = World::failing(fault);
        let outcome = world.send(Sent { key: Some("metered"), ..Sent::spans(1, "application/json") });
        assert_eq!((outcome.response.status().as_u16(), outcome.summary.code), (503, "fault"), "{fault:?}");
        assert_eq!(outcome.response.headers()[RETRY_AFTER], "1");
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
fn a_counter_that_fails_after_the_put_does_not_make_the_exporter_send_again() {
    let world = World::failing(Fault::UsageAdd);
    let outcome = world.send(Sent { key: Some("metered"), ..Sent::spans(1, "application/json") });
    assert_eq!(outcome.response.status(), 200);
    assert_eq!(outcome.summary.faults.len(), 1);
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
    let notification = world.send(Sent::spans(1, "application/json")).notification.unwrap();
    assert_eq!(world.notify(&notification), Ok(()));
    assert_eq!(world.notified.borrow().len(), 3);
    for sent in world.notified.borrow().iter() {
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&sent.body).unwrap()["tenant"], "acme");
        assert_eq!(world::verify(sent), Ok(()));
    }
}

#[test]
fn a_notification_that_nobody_takes_is_given_up() {
    let world = World::failing(Fault::Notify { times: 99 });
    let notification = world.send(Sent::spans(1, "application/json")).notification.unwrap();
    assert!(world.notify(&notification).is_err());
    assert_eq!(world.notified.borrow().len(), 3);
}

#[test]
fn a_panic_is_a_fault_of_its_own_request_and_of_no_other() {
    let world = World::failing(Fault::KeysPanic);
    let panicked = block_on(guarded(async { world.send(Sent::spans(1, "application/json")) }));
    let fault = panicked.unwrap_err();
    assert!(fault.to_string().starts_with("panic: ") && fault.detail.contains(world::DETAIL), "{fault}");
    let answer = response::rejected(&Rejection::Fault(fault), Encoding::Json);
    assert_eq!((answer.status().as_u16(), &answer.headers()[RETRY_AFTER]), (503, &HeaderValue::from(1)));
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
