//! How a notification proves that the edge sent it.
//!
//! The header [`HEADER`] holds `v1,t=<seconds>,mac=<hex>`: an HMAC-SHA256 over `v1.<seconds>.` and the body. The origin
//! accepts several keys at once, so that a key can be replaced without a gap, and refuses what is older than it was
//! told to accept, so that a recorded notification is of no use later.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::ids::UnixMillis;

/// The header that carries the signature.
pub const HEADER: &str = "spillway-signature";

/// The shortest signing key, in bytes: the strength of HMAC-SHA256 is wasted on less.
pub const MIN_KEY_BYTES: usize = 32;

/// Why a notification is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No header, or not of the form that this module writes.
    #[error("the {HEADER} header is missing or malformed")]
    Malformed,
    /// Signed too long ago, or in the future.
    #[error("the signature's time is outside of the accepted window")]
    Expired,
    /// Made with none of the accepted keys, or over another body.
    #[error("the signature fits none of the accepted keys")]
    Mismatch,
}

/// The header's value for `body`, signed at `now` with `key`.
pub fn sign(key: &[u8], now: UnixMillis, body: &[u8]) -> String {
    let seconds = now.0 / 1000;
    format!("v1,t={seconds},mac={}", hex::encode(mac(key, seconds, body).finalize().into_bytes()))
}

/// Whether `header` was made over `body` with one of `keys`, at most `max_age_seconds` away from `now`.
pub fn verify<'k>(
    keys: impl IntoIterator<Item = &'k [u8]>,
    now: UnixMillis,
    max_age_seconds: u64,
    header: &str,
    body: &[u8],
) -> Result<(), SignatureError> {
    let (seconds, presented) = parse(header).ok_or(SignatureError::Malformed)?;
    // Every key is tried, in constant time each, before the age is looked at: a forger learns nothing from either.
    let fits = keys
        .into_iter()
        .fold(false, |fits, key| mac(key, seconds, body).verify_slice(&presented).is_ok() | fits);
    if !fits {
        return Err(SignatureError::Mismatch);
    }
    if (now.0 / 1000).abs_diff(seconds) > max_age_seconds {
        return Err(SignatureError::Expired);
    }
    Ok(())
}

fn parse(header: &str) -> Option<(u64, [u8; 32])> {
    let (seconds, presented) = header.strip_prefix("v1,t=")?.split_once(",mac=")?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(presented, &mut bytes).ok()?;
    Some((seconds.parse().ok()?, bytes))
}

fn mac(key: &[u8], seconds: u64, body: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC is defined for keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(format!("v1.{seconds}.").as_bytes());
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_795_230_245_678);
    const OLD: &[u8] = b"an old key of thirty-two bytes..";
    const NEW: &[u8] = b"a newer key of thirty-two bytes.";

    #[test]
    fn both_keys_are_good_while_one_replaces_the_other() {
        for key in [OLD, NEW] {
            assert_eq!(verify([NEW, OLD], NOW, 300, &sign(key, NOW, b"body"), b"body"), Ok(()));
        }
        assert_eq!(verify([NEW], NOW, 300, &sign(OLD, NOW, b"body"), b"body"), Err(SignatureError::Mismatch));
    }

    #[test]
    fn another_body_or_another_time_does_not_fit() {
        let header = sign(NEW, NOW, b"body");
        assert_eq!(verify([NEW], NOW, 300, &header, b"bodY"), Err(SignatureError::Mismatch));
        let moved = header.replace("t=1795230245", "t=1795230246");
        assert_eq!(verify([NEW], NOW, 300, &moved, b"body"), Err(SignatureError::Mismatch));
    }

    #[test]
    fn old_and_early_ones_are_refused() {
        let header = sign(NEW, NOW, b"body");
        for (offset, expected) in [(300_000, Ok(())), (301_000, Err(SignatureError::Expired))] {
            assert_eq!(verify([NEW], UnixMillis(NOW.0 + offset), 300, &header, b"body"), expected);
            assert_eq!(verify([NEW], UnixMillis(NOW.0 - offset), 300, &header, b"body"), expected);
        }
    }

    #[test]
    fn other_headers_are_malformed() {
        for bad in ["", "v1", "v2,t=1,mac=00", "v1,t=x,mac=00", "v1,t=1,mac=zz", "v1,t=1,mac=00"] {
            assert_eq!(verify([NEW], NOW, 300, bad, b"body"), Err(SignatureError::Malformed), "{bad}");
        }
    }
}
