//! Headers of requests and of notifications.

use spillway_proto::UnixMillis;
use spillway_proto::otlp::{Compression, Encoding};
use spillway_proto::signature::{self, SignatureError};
use spillway_proto::trace_context::TraceContext;

use crate::wire::NOW;

/// The key that the seeds are signed with.
pub const KEY: &[u8] = b"a key of no less than thirty-two bytes";
/// What they sign.
pub const BODY: &[u8] = b"a notification";

/// A header is read as what it says, or not at all.
pub fn check(bytes: &[u8]) {
    let header = String::from_utf8_lossy(bytes);
    if let Ok(context) = header.parse::<TraceContext>() {
        assert_eq!(context.to_string().parse(), Ok(context));
        assert!(header.contains(&context.trace_id_hex()) && header.contains(&context.span_id_hex()));
    }
    if let Some(encoding) = Encoding::from_header(&header) {
        assert_eq!(Encoding::from_header(encoding.content_type()), Some(encoding));
    }
    let _ = Compression::from_header(Some(&header));
    is_signed_by_the_key(&header);
    is_believed_while_it_is_new(bytes);
}

/// No spelling of a header is believed that has not the right code for its time.
fn is_signed_by_the_key(header: &str) {
    match signature::verify([KEY], NOW, u64::MAX, header, BODY) {
        Ok(()) => {
            let (before, mac) = header.rsplit_once(",mac=").expect("it was read");
            let seconds: u64 = before.rsplit_once("t=").expect("it was read").1.parse().expect("it was read");
            let signed = signature::sign(KEY, UnixMillis(seconds.saturating_mul(1_000)), BODY);
            assert!(signed.ends_with(&mac.to_ascii_lowercase()));
        }
        Err(error) => assert_ne!(error, SignatureError::Expired, "no age is too high"),
    }
}

/// Any body can be signed, by any key.
fn is_believed_while_it_is_new(bytes: &[u8]) {
    let (key, body) = bytes.split_at(bytes.len() / 2);
    let header = signature::sign(key, NOW, body);
    assert_eq!(signature::verify([KEY, key], NOW, 0, &header, body), Ok(()));
    let later = UnixMillis(NOW.0 + 2_000);
    assert_eq!(signature::verify([key], later, 1, &header, body), Err(SignatureError::Expired));
}
