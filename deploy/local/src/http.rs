//! HTTP clients.

/// A client. It has no timeout of its own.
pub fn client() -> reqwest::Client {
    choose_tls();
    reqwest::Client::new()
}

/// A client for a thread that may wait.
pub fn blocking_client() -> reqwest::blocking::Client {
    choose_tls();
    reqwest::blocking::Client::new()
}

/// reqwest wants a TLS library even where it speaks to loopback only.
fn choose_tls() {
    // An error means that this was done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
