//! Key records, remembered by the isolate.
//!
//! A record is good for [`KeyCacheConfig::fresh`]; a key that is not known is remembered for much less, so that a new key
//! works soon. While the key store cannot be asked, an older record serves on, up to [`KeyCacheConfig::stale`].

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;

use lru::LruCache;
use spillway_proto::UnixMillis;
use spillway_proto::api_key::KeyHash;
use spillway_proto::key_record::KeyRecord;

use crate::config::KeyCacheConfig;

/// Records that an isolate remembers.
const MAX_RECORDS: NonZeroUsize = const { NonZeroUsize::new(10_000).unwrap() };

/// Unknown keys that it remembers, apart from the records: a flood of wrong keys must not push out the right ones.
const MAX_MISSES: NonZeroUsize = const { NonZeroUsize::new(1_000).unwrap() };

/// What an isolate knows of keys.
pub struct KeyCache {
    records: RefCell<LruCache<KeyHash, (Rc<KeyRecord>, UnixMillis)>>,
    misses: RefCell<LruCache<KeyHash, UnixMillis>>,
}

/// What is remembered of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remembered {
    /// Its record, which is recent enough.
    Fresh(Rc<KeyRecord>),
    /// It was not known a moment ago.
    Unknown,
    /// Its record, which should be asked for again.
    Stale(Rc<KeyRecord>),
    /// Nothing.
    Nothing,
}

impl Default for KeyCache {
    fn default() -> Self {
        Self {
            records: RefCell::new(LruCache::new(MAX_RECORDS)),
            misses: RefCell::new(LruCache::new(MAX_MISSES)),
        }
    }
}

impl KeyCache {
    /// What is remembered of the key.
    pub fn find(&self, hash: &KeyHash, config: &KeyCacheConfig, now: UnixMillis) -> Remembered {
        if let Some((record, at)) = self.records.borrow_mut().get(hash) {
            return match age(*at, now) {
                age if is_within(age, config.fresh) => Remembered::Fresh(Rc::clone(record)),
                age if is_within(age, config.stale) => Remembered::Stale(Rc::clone(record)),
                _ => Remembered::Nothing,
            };
        }
        let missed = self.misses.borrow_mut().get(hash).copied();
        match missed {
            Some(at) if is_within(age(at, now), config.miss) => Remembered::Unknown,
            _ => Remembered::Nothing,
        }
    }

    /// Remembers what the key store has said.
    pub fn remember(&self, hash: &KeyHash, record: Option<Rc<KeyRecord>>, now: UnixMillis) {
        match record {
            Some(record) => {
                self.misses.borrow_mut().pop(hash);
                self.records.borrow_mut().put(*hash, (record, now));
            }
            None => {
                self.records.borrow_mut().pop(hash);
                self.misses.borrow_mut().put(*hash, now);
            }
        }
    }
}

/// In milliseconds; where the clock has stepped back, as far as it did.
fn age(at: UnixMillis, now: UnixMillis) -> u64 {
    now.0.abs_diff(at.0)
}

fn is_within(age_ms: u64, bound: Duration) -> bool {
    u128::from(age_ms) < bound.as_millis()
}

#[cfg(test)]
mod tests {
    use spillway_proto::Sha256Digest;

    use super::*;

    const CONFIG: KeyCacheConfig = KeyCacheConfig {
        fresh: Duration::from_secs(60),
        miss: Duration::from_secs(5),
        stale: Duration::from_secs(600),
    };

    fn hash(n: u32) -> KeyHash {
        Sha256Digest::of(&n.to_le_bytes()).into()
    }

    fn record() -> Rc<KeyRecord> {
        Rc::new(serde_json::from_str(r#"{"tenant":"acme","key_id":"k1"}"#).unwrap())
    }

    fn at(seconds: u64) -> UnixMillis {
        UnixMillis(seconds * 1_000)
    }

    #[test]
    fn a_record_is_fresh_then_stale_then_gone() {
        let cache = KeyCache::default();
        cache.remember(&hash(1), Some(record()), at(0));
        for (seconds, expected) in [
            (59, Remembered::Fresh(record())),
            (60, Remembered::Stale(record())),
            (599, Remembered::Stale(record())),
            (600, Remembered::Nothing),
        ] {
            assert_eq!(cache.find(&hash(1), &CONFIG, at(seconds)), expected);
        }
    }

    #[test]
    fn a_miss_is_remembered_for_less_and_a_revoked_record_is_forgotten() {
        let cache = KeyCache::default();
        cache.remember(&hash(1), Some(record()), at(0));
        cache.remember(&hash(1), None, at(1));
        assert_eq!(cache.find(&hash(1), &CONFIG, at(5)), Remembered::Unknown);
        assert_eq!(cache.find(&hash(1), &CONFIG, at(6)), Remembered::Nothing);
        cache.remember(&hash(1), Some(record()), at(6));
        assert_eq!(cache.find(&hash(1), &CONFIG, at(7)), Remembered::Fresh(record()));
    }

    #[test]
    fn a_flood_of_wrong_keys_does_not_push_out_the_right_one() {
        let cache = KeyCache::default();
        cache.remember(&hash(0), Some(record()), at(0));
        for n in 1..20_000 {
            cache.remember(&hash(n), None, at(1));
        }
        assert_eq!(cache.find(&hash(0), &CONFIG, at(1)), Remembered::Fresh(record()));
        assert_eq!(cache.misses.borrow().len(), MAX_MISSES.get());
    }
}
