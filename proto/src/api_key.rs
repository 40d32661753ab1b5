//! API keys: `spw_{environment}_{random}_{checksum}`.
//!
//! The prefix lets secret scanners find a key that was published, and the checksum tells a mistyped key from a wrong one
//! without looking anything up. A key is stored nowhere; its record lies under its hash ([`crate::key_record`]).

use std::fmt;

use subtle::ConstantTimeEq;

use crate::ids::Sha256Digest;

/// The longest key that is looked up, in bytes.
pub const MAX_KEY_BYTES: usize = 256;

/// What every key of Spillway begins with.
pub const PREFIX: &str = "spw_";

/// How much of a key is random, in bytes.
pub const RANDOM_BYTES: usize = 20;

/// The longest name of an environment.
const MAX_ENVIRONMENT_BYTES: usize = 16;

/// A key as an exporter sends it. It does not print itself.
#[derive(Clone)]
pub struct ApiKey(String);

/// A text is not what a key of Spillway looks like: its checksum or its shape is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not of the form spw_ENVIRONMENT_RANDOM_CHECKSUM, or the checksum is wrong")]
pub struct MistypedKey;

/// The name of an environment is not 1 to 16 small letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name of 1 to {MAX_ENVIRONMENT_BYTES} small letters and digits")]
pub struct InvalidEnvironment(String);

impl ApiKey {
    /// The key of `environment` (such as `live` or `test`) that `random` makes.
    pub fn new(environment: &str, random: [u8; RANDOM_BYTES]) -> Result<Self, InvalidEnvironment> {
        if !is_environment(environment) {
            return Err(InvalidEnvironment(environment.chars().take(64).collect()));
        }
        let body = format!("{PREFIX}{environment}_{}", hex::encode(random));
        let checksum = checksum(&body);
        Ok(Self(format!("{body}_{checksum}")))
    }

    /// Takes what an exporter presents. What does not begin with [`PREFIX`] is the key of another system, which may have been
    /// imported under its hash, and is taken as it is.
    pub fn presented(text: &str) -> Result<Self, MistypedKey> {
        if text.len() > MAX_KEY_BYTES || (text.starts_with(PREFIX) && !is_well_formed(text)) {
            return Err(MistypedKey);
        }
        Ok(Self(text.to_owned()))
    }

    /// The key itself: to be shown once, and to be sent.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The hash that its record is found by.
    pub fn hash(&self) -> KeyHash {
        KeyHash(Sha256Digest::of(self.0.as_bytes()))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

fn is_environment(name: &str) -> bool {
    (1..=MAX_ENVIRONMENT_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn is_well_formed(key: &str) -> bool {
    let Some((body, found)) = key.rsplit_once('_') else { return false };
    let Some((environment, random)) = body.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')) else {
        return false;
    };
    let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    is_environment(environment)
        && random.len() == 2 * RANDOM_BYTES
        && random.bytes().all(hexadecimal)
        && found == checksum(body)
}

fn checksum(body: &str) -> String {
    format!("{:08x}", crc32fast::hash(body.as_bytes()))
}

/// The SHA-256 of a key, by which its record is found. Compared in constant time.
#[derive(Debug, Clone, Copy)]
pub struct KeyHash(Sha256Digest);

impl KeyHash {
    /// The digest.
    pub fn digest(&self) -> &Sha256Digest {
        &self.0
    }

    /// What the names of all records in KV begin with.
    pub const KV_PREFIX: &'static str = "key/";

    /// The name of the key's record in KV: `key/` and 64 hex digits.
    pub fn kv_name(&self) -> String {
        format!("{}{}", Self::KV_PREFIX, self.0)
    }
}

impl From<Sha256Digest> for KeyHash {
    fn from(digest: Sha256Digest) -> Self {
        Self(digest)
    }
}

impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for KeyHash {}

impl std::hash::Hash for KeyHash {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> ApiKey {
        ApiKey::new("live", [0xab; RANDOM_BYTES]).unwrap()
    }

    #[test]
    fn a_key_has_its_prefix_environment_and_checksum() {
        insta::assert_snapshot!(key().expose(), @"spw_live_abababababababababababababababababababab_2078f9b8");
        assert_eq!(ApiKey::presented(key().expose()).unwrap().hash(), key().hash());
        assert_eq!(format!("{:?}", key()), "ApiKey(..)");
    }

    #[test]
    fn every_typo_of_one_character_is_noticed() {
        let key = key();
        for place in PREFIX.len()..key.expose().len() {
            let mut typo = key.expose().as_bytes().to_vec();
            typo[place] = if typo[place] == b'0' { b'1' } else { b'0' };
            assert!(ApiKey::presented(std::str::from_utf8(&typo).unwrap()).is_err(), "{place}");
        }
        assert!(ApiKey::presented(&key.expose()[..40]).is_err());
    }

    #[test]
    fn keys_of_other_systems_are_taken_and_bad_environments_are_not() {
        assert!(ApiKey::presented("flare-key").is_ok());
        assert!(ApiKey::presented(&"x".repeat(257)).is_err());
        for environment in ["", "Live", "a_b", "seventeen-letters"] {
            assert!(ApiKey::new(environment, [0; RANDOM_BYTES]).is_err(), "{environment}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text: String, rest: String) {
            let _ = ApiKey::presented(&text);
            let _ = ApiKey::presented(&format!("{PREFIX}{rest}"));
        }

        #[test]
        fn every_key_is_well_formed(random: [u8; RANDOM_BYTES], environment in "[a-z0-9]{1,16}") {
            let key = ApiKey::new(&environment, random).unwrap();
            prop_assert!(ApiKey::presented(key.expose()).is_ok());
        }
    }
}
