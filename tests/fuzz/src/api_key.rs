//! API keys.

use spillway_proto::api_key::{ApiKey, MAX_KEY_BYTES, PREFIX, RANDOM_BYTES};

/// A key is taken as it is, and one of ours is the one that its parts make.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(key) = ApiKey::presented(&text) {
        assert_eq!(key.expose(), text);
        assert!(text.len() <= MAX_KEY_BYTES);
        assert_eq!(key.hash().kv_name().len(), "key/".len() + 64);
        assert_eq!(format!("{key:?}"), "ApiKey(..)");
        if let Some(rest) = text.strip_prefix(PREFIX) {
            is_made_of_its_parts(&key, rest);
        }
    }
    if let Some((random, environment)) = bytes.split_first_chunk::<RANDOM_BYTES>()
        && let Ok(environment) = str::from_utf8(environment)
        && let Ok(key) = ApiKey::new(environment, *random)
    {
        let again = ApiKey::presented(key.expose()).expect("a key that was made is one");
        assert_eq!(again.hash(), key.hash());
    }
}

fn is_made_of_its_parts(key: &ApiKey, rest: &str) {
    let parts: Vec<_> = rest.split('_').collect();
    let [environment, random, _] = parts[..] else { panic!("{rest} has not three parts") };
    let byte = |place| u8::from_str_radix(&random[2 * place..][..2], 16).expect("a well-formed key");
    let made = ApiKey::new(environment, std::array::from_fn(byte)).expect("a well-formed key");
    assert_eq!(made.expose(), key.expose());
}
