//! Types for what must not be mixed up.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The longest name of a tenant or of a key, in bytes. Both travel in object metadata, of which R2 keeps 8 KiB.
pub const MAX_NAME_BYTES: usize = 64;

/// A name was not of the form `[A-Za-z0-9._-]{1,64}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name of 1 to {MAX_NAME_BYTES} letters, digits, `.`, `_` or `-`")]
pub struct InvalidName(String);

fn checked_name(name: &str) -> Result<String, InvalidName> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(legal) {
        Ok(name.to_owned())
    } else {
        Err(InvalidName(name.chars().take(MAX_NAME_BYTES).collect()))
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(name: &str) -> Result<Self, InvalidName> {
                checked_name(name).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name_type! {
    /// Whose spans they are: `[A-Za-z0-9._-]{1,64}`.
    TenantId
}

name_type! {
    /// A part of a tenant, such as one of its applications: `[A-Za-z0-9._-]{1,64}`.
    ProjectId
}

name_type! {
    /// The public id of an API key, which logs and metadata may show: `[A-Za-z0-9._-]{1,64}`.
    KeyId
}

macro_rules! hex_type {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The raw bytes.
            pub fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = hex::FromHexError;

            fn from_str(text: &str) -> Result<Self, hex::FromHexError> {
                let mut bytes = [0; $bytes];
                hex::decode_to_slice(text, &mut bytes)?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_type! {
    /// The identity of a request: what it says, whose it is, and not how it was packed or when it came. An exporter that sends
    /// a batch again, because the first answer was lost, sends the same request, however it is compressed this time.
    ObjectId, 16
}

hex_type! {
    /// The SHA-256 of an object's bytes; its text form is 64 hex digits.
    Sha256Digest, 32
}

impl ObjectId {
    /// The id of a request that came with a key of `tenant` and `project`: the first 16 bytes of the BLAKE3 hash over the
    /// tenant's name, a line feed, the project's name (nothing where there is none), a line feed and `message`. Neither name
    /// can hold a line feed, and there is no secret in it, so anybody can compute an id by hand.
    ///
    /// `message` is an `ExportTraceServiceRequest` in protobuf, not compressed: as it was sent, or as JSON was transcoded.
    pub fn new(tenant: &TenantId, project: Option<&ProjectId>, message: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(tenant.as_str().as_bytes());
        hasher.update(b"\n");
        hasher.update(project.map_or("", ProjectId::as_str).as_bytes());
        hasher.update(b"\n");
        hasher.update(message);
        Self::from_hash(hasher.finalize().as_bytes())
    }

    /// The id that Spillway 0.1 gave a request: the first 16 bytes of a SHA-256 over the SHA-256 of the body as it was sent,
    /// compressed or not, and the tenant's name. New objects carry it beside their own, so that a request whose first try
    /// met a Worker of that version is known again.
    pub fn of_first_version(tenant: &TenantId, body: &Sha256Digest) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(body.as_bytes());
        hasher.update(tenant.as_str());
        let hash: [u8; 32] = hasher.finalize().into();
        Self::from_hash(&hash)
    }

    fn from_hash(hash: &[u8; 32]) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        Self(id)
    }
}

impl From<[u8; 32]> for Sha256Digest {
    fn from(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl Sha256Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// A moment, in milliseconds since the Unix epoch: the resolution of a Worker's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The same moment in nanoseconds; saturates in the year 2554.
    pub fn as_nanos(self) -> u64 {
        self.0.saturating_mul(1_000_000)
    }

    /// The UTC month that quotas are counted by, as `YYYY-MM`.
    pub fn month(self) -> String {
        let date = self.date();
        format!("{:04}-{:02}", date.year(), date.month())
    }

    /// The first day of the next UTC month, when quotas begin anew, as `YYYY-MM-DD`.
    pub fn next_month(self) -> String {
        let date = self.date();
        match date.month() {
            12 => format!("{:04}-01-01", date.year() + 1),
            month => format!("{:04}-{:02}-01", date.year(), month + 1),
        }
    }

    /// As a date of the calendar.
    pub fn date(self) -> DateTime<Utc> {
        i64::try_from(self.0)
            .ok()
            .and_then(DateTime::from_timestamp_millis)
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!("acme-1.eu_prod".parse::<TenantId>().is_ok());
        for bad in ["", "a/b", "ü", "a b", &"x".repeat(65)] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_object_id_depends_on_tenant_project_and_message() {
        let id = |tenant: &str, project: Option<&str>, message: &[u8]| {
            let project = project.map(|project| project.parse().unwrap());
            ObjectId::new(&tenant.parse().unwrap(), project.as_ref(), message)
        };
        let ids = [
            id("ab", None, b"c"),
            id("a", None, b"bc"),
            id("a", Some("b"), b"c"),
            id("ab", Some("c"), b""),
            id("ab", None, b"d"),
        ];
        for (index, one) in ids.iter().enumerate() {
            assert!(ids[index + 1..].iter().all(|other| other != one), "{one}");
            assert_eq!(one.to_string().parse(), Ok(*one));
        }
        // printf 'acme\nshop\n%s' hello | b3sum
        assert_eq!(id("acme", Some("shop"), b"hello").to_string(), "968a63b6cd3109f695845eba2b433be0");
    }

    #[test]
    fn the_id_of_the_first_version_is_what_that_one_computed() {
        let id = ObjectId::of_first_version(&"acme".parse().unwrap(), &Sha256Digest::of(b"hello"));
        // { printf hello | sha256sum | xxd -r -p; printf acme; } | sha256sum
        assert_eq!(id.to_string(), "2260f28ba89a1fcaaa71b6126b7ea678");
    }

    #[test]
    fn months_follow_utc() {
        let last_of_december = UnixMillis(1_798_761_599_999);
        assert_eq!(last_of_december.month(), "2026-12");
        assert_eq!(last_of_december.next_month(), "2027-01-01");
        assert_eq!(UnixMillis(last_of_december.0 + 1).month(), "2027-01");
    }
}
