use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;

const HELD: &str = r#"{"notification":"{\"a\":\"é\"}","signature":"v1,t=1,mac=00"}"#;

fn message(content_type: &str, body: &Value) -> Message {
    let metadata = json!({ "CF-Content-Type": content_type, "CF-sourceMessageSource": "worker" });
    let message = json!({
        "lease_id": "lease", "id": "id", "attempts": 1, "timestamp_ms": 1_795_230_245_678_u64,
        "body": body, "metadata": metadata,
    });
    serde_json::from_value(message).unwrap()
}

#[test]
fn a_message_is_opened_as_its_content_type_says() {
    for (content_type, body) in
        [("text", HELD.to_owned()), ("json", STANDARD.encode(HELD)), ("bytes", STANDARD.encode(HELD))]
    {
        let opened = message(content_type, &json!(body)).open().unwrap();
        assert_eq!(
            (opened.notification.as_str(), opened.signature.as_str()),
            (r#"{"a":"é"}"#, "v1,t=1,mac=00")
        );
    }
    let bare: Message = serde_json::from_value(json!({ "lease_id": "lease", "body": HELD })).unwrap();
    assert!(bare.open().is_some());
}

#[test]
fn what_is_no_notification_is_not_opened() {
    let extended = HELD.replace('}', r#","more":1}"#);
    for (content_type, body) in [
        ("text", json!("")),
        ("text", json!("hello")),
        ("text", json!(STANDARD.encode(HELD))),
        ("text", json!(extended)),
        ("text", json!({ "notification": "{}", "signature": "" })),
        ("text", Value::Null),
        ("json", json!(HELD)),
        ("bytes", json!(STANDARD.encode([0xff, 0xfe]))),
        ("v8", json!(STANDARD.encode(HELD))),
    ] {
        assert!(message(content_type, &body).open().is_none(), "{content_type}: {body}");
    }
}

#[test]
fn every_message_is_acknowledged_or_given_back() {
    use NotificationOutcome::*;
    let outcomes = [Enqueued, QueueUnavailable, BadSignature, Known, Malformed, Resend, TooLarge];
    let leased = (0..outcomes.len()).map(|n| {
        let mut message = message("text", &json!(""));
        message.lease_id = n.to_string();
        message
    });
    let receipt = serde_json::to_value(receipt(leased.collect(), &outcomes)).unwrap();
    let acks: Vec<_> = ["0", "2", "3", "4", "5", "6"].map(|lease| json!({ "lease_id": lease })).into();
    assert_eq!(receipt, json!({ "acks": acks, "retries": [{ "lease_id": "1", "delay_seconds": 30 }] }));
}

#[test]
fn a_message_given_back_waits_longer_each_time_and_never_for_long() {
    let waits: Vec<_> = [0, 1, 2, 5, 6, 100, u32::MAX].map(redelivery_seconds).into();
    assert_eq!(waits, [15, 30, 60, 480, 900, 900, 900]);
}

type Change = fn(&mut QueuePullConfig, &mut CloudflareConfig);

fn config(change: Change) -> Result<(), String> {
    let mut cloudflare = CloudflareConfig {
        account_id: "12345678901234567890123456789012".to_owned(),
        ..CloudflareConfig::default()
    };
    let mut config = QueuePullConfig {
        queue_id: "023e105f4ecef8ad9ca31a8372d0c353".to_owned(),
        api_token: "a very secret token".into(),
        ..QueuePullConfig::default()
    };
    change(&mut config, &mut cloudflare);
    config.check(&cloudflare).map_err(|error| error.to_string())
}

#[test]
fn a_queue_wants_its_account_and_a_token() {
    assert_eq!(
        QueuePullConfig::default().check(&CloudflareConfig::default()).map_err(|error| error.to_string()),
        Ok(())
    );
    assert_eq!(config(|_, _| {}), Ok(()));
    let refused: [(&str, Change); 8] = [
        ("queue_pull.queue_id", |config, _| config.queue_id = "my-queue".to_owned()),
        ("cloudflare.account_id", |_, cloudflare| cloudflare.account_id.clear()),
        ("queue_pull.api_token", |config, _| config.api_token = SecretString::default()),
        ("cloudflare.api_url", |_, cloudflare| cloudflare.api_url = "api.cloudflare.com".to_owned()),
        ("queue_pull.batch_size", |config, _| config.batch_size = 101),
        ("queue_pull.visibility_timeout_seconds", |config, _| config.visibility_timeout_seconds = 43_201),
        ("queue_pull.idle_seconds", |config, _| config.idle_seconds = 0),
        ("queue_pull.timeout_seconds", |config, _| config.timeout_seconds = 0),
    ];
    for (field, change) in refused {
        let error = config(change).unwrap_err();
        assert!(error.contains(field) && !error.contains("secret"), "{field}: {error}");
    }
}
