//! The Worker's clock and randomness.

use std::time::Duration;

use spillway_proto::{Sha256Digest, UnixMillis};
use worker::wasm_bindgen::JsCast;
use worker::wasm_bindgen_futures::JsFuture;
use worker::{Delay, js_sys};

use crate::ports::Runtime;

/// From here on the runtime's hash is faster, in bytes: its call costs about what wasm takes for so many.
const NATIVE_HASH_BYTES: usize = 8 << 10;

pub(super) struct WorkerRuntime;

impl Runtime for WorkerRuntime {
    fn now(&self) -> UnixMillis {
        UnixMillis(js_sys::Date::now() as u64)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        // The runtime's crypto.getRandomValues fails for requests over 64 KiB only; ids are tiny.
        #[expect(
            clippy::expect_used,
            reason = "it cannot fail for so few bytes, and an id must never be guessable"
        )]
        getrandom::fill(bytes).expect("the Workers runtime has randomness");
    }

    async fn sha256(&self, bytes: &[u8]) -> Sha256Digest {
        // The runtime's own is several times faster than wasm, and costs a promise.
        match bytes.len() {
            len if len >= NATIVE_HASH_BYTES => {
                native_sha256(bytes).await.unwrap_or_else(|| Sha256Digest::of(bytes))
            }
            _ => Sha256Digest::of(bytes),
        }
    }

    async fn sleep(&self, duration: Duration) {
        Delay::from(duration).await;
    }
}

async fn native_sha256(bytes: &[u8]) -> Option<Sha256Digest> {
    let scope: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
    let subtle = scope.crypto().ok()?.subtle();
    // It is told where in wasm's memory they lie, and takes what it needs before it returns:
    // <https://www.w3.org/TR/WebCryptoAPI/#SubtleCrypto-method-digest>, step 2.
    let digest = subtle.digest_with_str_and_u8_array("SHA-256", bytes).ok()?;
    let digest = js_sys::Uint8Array::new(&JsFuture::from(digest).await.ok()?);
    let mut sha256 = [0; 32];
    (digest.length() == 32).then(|| {
        digest.copy_to(&mut sha256);
        sha256.into()
    })
}
