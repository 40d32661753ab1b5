//! Object keys.

use spillway_proto::object_key::{MAX_SPANS, SHARDS};
use spillway_proto::{ObjectId, ObjectKey, UnixMillis};

/// An object key has one spelling, and comes back from it.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(key) = text.parse::<ObjectKey>() {
        assert_eq!(key.to_string(), text);
        is_consistent(&key);
    }
    if let Some((millis, rest)) = bytes.split_first_chunk()
        && let Some((random, rest)) = rest.split_first_chunk()
        && let Some((spans, rest)) = rest.split_first_chunk()
    {
        let received_at = UnixMillis(u64::from_le_bytes(*millis));
        let id = ObjectId::new(&"acme".parse().expect("a name"), None, rest);
        let spans = u32::from_le_bytes(*spans) % (MAX_SPANS + 1);
        let key = ObjectKey::new(received_at, u128::from_le_bytes(*random), id, spans);
        assert_eq!(key.to_string().parse(), Ok(key.clone()));
        is_consistent(&key);
    }
}

fn is_consistent(key: &ObjectKey) {
    assert!(key.to_string().starts_with(&ObjectKey::folder_of(key.received_at())));
    assert!(key.shard() < SHARDS);
    let json = serde_json::to_string(key).expect("a text");
    assert_eq!(&serde_json::from_str::<ObjectKey>(&json).expect("it was written"), key);
}
