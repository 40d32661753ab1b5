//! Where an object lies in R2.
//!
//! `v1/YYYY/MM/DD/HH/MM/{shard}/{ulid}-{object_id}-{nspans}.otlp`: time first, so that a minute can be listed; then the
//! shard, so that listings run side by side; the span count in the name, so that a listing alone gives the total of
//! what was accepted.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, Timelike};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

use crate::ids::{ObjectId, UnixMillis};

/// Listings of one minute can run side by side as often as this: the shard is one hex digit.
pub const SHARDS: u8 = 16;

/// No request that the edge takes holds as many spans; a name that says so is none of ours.
pub const MAX_SPANS: u32 = 10_000_000;

/// What every key begins with.
pub const ROOT: &str = "v1/";

/// The key of an object in R2, in its parts. Keys are in the order of their texts, which is that of
/// listings, up to the year 9999.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectKey {
    ulid: Ulid,
    object_id: ObjectId,
    spans: u32,
}

/// A text is not the key of an object that Spillway wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an object key of the form v1/YYYY/MM/DD/HH/MM/SHARD/ULID-OBJECT_ID-NSPANS.otlp: {0}")]
pub struct InvalidObjectKey(&'static str);

impl ObjectKey {
    /// The key of an object with `spans` accepted spans, [`MAX_SPANS`] at most, that was received at `received_at`; `random` keeps two objects
    /// of one millisecond apart.
    pub fn new(received_at: UnixMillis, random: u128, object_id: ObjectId, spans: u32) -> Self {
        Self { ulid: Ulid::from_parts(received_at.0, random), object_id, spans }
    }

    /// The key of the object whose file has this name: the name alone tells its folders.
    pub fn from_file_name(name: &str) -> Result<Self, InvalidObjectKey> {
        let parts = name.strip_suffix(".otlp").ok_or(InvalidObjectKey("no .otlp at its end"))?;
        let mut parts = parts.split('-');
        let (Some(ulid), Some(id), Some(spans), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidObjectKey("the name has not three parts"));
        };
        let key = Self {
            ulid: Ulid::from_string(ulid).map_err(|_| InvalidObjectKey("the first part is no ULID"))?,
            object_id: id.parse().map_err(|_| InvalidObjectKey("the second part is not 32 hex digits"))?,
            spans: spans.parse().map_err(|_| InvalidObjectKey("the third part is no span count"))?,
        };
        if key.spans > MAX_SPANS {
            return Err(InvalidObjectKey("the third part is more than a request can hold"));
        }
        // One object, one spelling: the ledger compares keys as text.
        if key.file_name() == name { Ok(key) } else { Err(InvalidObjectKey("the name is spelled otherwise")) }
    }

    /// What follows the folders.
    pub fn file_name(&self) -> String {
        format!("{}-{}-{}.otlp", self.ulid, self.object_id, self.spans)
    }

    /// The id of the request body that the object holds.
    pub fn object_id(&self) -> ObjectId {
        self.object_id
    }

    /// How many spans of it were accepted.
    pub fn spans(&self) -> u32 {
        self.spans
    }

    /// When it was received.
    pub fn received_at(&self) -> UnixMillis {
        UnixMillis(self.ulid.timestamp_ms())
    }

    /// The folder of the objects that were received in the minute of `at`; as text it is before all of them, and after
    /// those of earlier minutes.
    pub fn folder_of(at: UnixMillis) -> String {
        let at = at.date();
        format!(
            "{ROOT}{:04}/{:02}/{:02}/{:02}/{:02}/",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute()
        )
    }

    /// The shard: 0 to [`SHARDS`] less one.
    pub fn shard(&self) -> u8 {
        self.object_id.as_bytes()[0] % SHARDS
    }
}

impl Ord for ObjectKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |key: &Self| (key.ulid.timestamp_ms() / 60_000, key.shard(), key.ulid, key.object_id);
        // Numbers of one and of two digits are not in the order of their texts.
        let spans = || self.spans.to_string().cmp(&other.spans.to_string());
        place(self).cmp(&place(other)).then_with(spans)
    }
}

impl PartialOrd for ObjectKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = Self::folder_of(self.received_at());
        write!(f, "{folder}{:x}/{}", self.shard(), self.file_name())
    }
}

impl FromStr for ObjectKey {
    type Err = InvalidObjectKey;

    fn from_str(text: &str) -> Result<Self, InvalidObjectKey> {
        let (_, name) = text.rsplit_once('/').ok_or(InvalidObjectKey("no folder"))?;
        let key = Self::from_file_name(name)?;
        if key.to_string() == text {
            Ok(key)
        } else {
            Err(InvalidObjectKey("the folders do not fit the name"))
        }
    }
}

impl Serialize for ObjectKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(millis: u64, random: u128, body: &[u8], spans: u32) -> ObjectKey {
        ObjectKey::new(UnixMillis(millis), random, ObjectId::new(&"acme".parse().unwrap(), None, body), spans)
    }

    #[test]
    fn reads_as_documented() {
        insta::assert_snapshot!(
            key(1_795_230_245_678, 7, b"body", 12),
            @"v1/2026/11/21/03/04/1/01M7Y0Z8SE0000000000000007-512425c9d08a47918aa631b750e91b4c-12.otlp"
        );
    }

    #[test]
    fn refuses_what_it_would_not_write() {
        let good = key(1_795_230_245_678, 7, b"body", 12).to_string();
        for bad in [
            "",
            "x",
            "/-.otlp",
            &good.replace(".otlp", ""),
            &good.replace("2026", "2025"),
            &good.replace("/1/", "/2/"),
            &good.replace("-12.", "-012."),
            &good.replace("-12.", "-99999999999."),
            &good.replace("-12.", "-10000001."),
            &good.to_uppercase(),
        ] {
            assert!(bad.parse::<ObjectKey>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn comes_back_from_its_text(millis in 0u64..4_102_444_800_000, random: u128, body: Vec<u8>, spans in 0..=MAX_SPANS) {
            let key = key(millis, random, &body, spans);
            prop_assert_eq!(key.to_string().parse::<ObjectKey>(), Ok(key));
        }

        #[test]
        fn is_in_the_order_of_its_text(
            (a, b) in (0u64..200_000, 0u64..200_000), random: u128, bodies in proptest::array::uniform2(0u8..3),
            spans in proptest::array::uniform2(0u32..200),
        ) {
            let (a, b) = (key(a, random, &bodies[..1], spans[0]), key(b, random, &bodies[1..], spans[1]));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            let same_moment = ObjectKey { spans: spans[1], ..a.clone() };
            prop_assert_eq!(a.cmp(&same_moment), a.to_string().cmp(&same_moment.to_string()));
        }

        #[test]
        fn comes_back_from_its_file_name(millis in 0u64..4_102_444_800_000, random: u128, body: Vec<u8>) {
            let key = key(millis, random, &body, 12);
            prop_assert_eq!(ObjectKey::from_file_name(&key.file_name()), Ok(key));
        }

        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = text.parse::<ObjectKey>();
        }
    }
}
