//! Which cryptography TLS goes by.

/// Chooses ring for those that take whatever the process has chosen, as `reqwest` does. There is one choice, so that another
/// try is harmless.
pub fn choose_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
