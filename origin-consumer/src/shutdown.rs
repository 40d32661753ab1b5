//! When to end: on SIGTERM, on SIGINT, and, where that is asked for, when standard input closes.

use std::io::Read;
use std::thread;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled when the process is asked to end. `with_stdin` makes the end of standard input such a
/// request: a supervisor that holds the other end of a pipe then never leaves the process behind, however it ends.
///
/// Must be called within a tokio runtime.
pub fn requested(with_stdin: bool) -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let (mut signal, token) = (signal(kind)?, token.clone());
        tokio::spawn(async move {
            signal.recv().await;
            token.cancel();
        });
    }
    if with_stdin {
        let token = token.clone();
        thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            // What is written there means nothing; only its end does.
            while std::io::stdin().read(&mut [0; 64]).is_ok_and(|bytes| bytes > 0) {}
            token.cancel();
        })?;
    }
    Ok(token)
}
