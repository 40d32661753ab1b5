//! Places where tests make this program fail. Without the feature `failpoints`, which no release has, nothing of it is
//! compiled in.
//!
//! The environment's `FAILPOINTS` switches them, as the crate `fail` describes: `consume::stored=1*return(abort)` ends the
//! process at that place the first time it comes there, without a word.

/// Reads the environment. Once, at the start.
#[cfg(feature = "failpoints")]
pub fn read_environment() {
    let scenario = fail::FailScenario::setup();
    // Until the process ends.
    std::mem::forget(scenario);
}

/// Reads the environment. Once, at the start.
#[cfg(not(feature = "failpoints"))]
pub fn read_environment() {}

/// A place where the process may be made to end, to stand still, or to panic.
#[cfg(feature = "failpoints")]
pub(crate) fn pass(place: &str) {
    if fail::eval(place, |what| what).is_some_and(|what| what.as_deref() == Some("abort")) {
        std::process::abort();
    }
}

/// A place where the process may be made to end, to stand still, or to panic.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn pass(_place: &str) {}

/// Whether something is to be left out.
#[cfg(feature = "failpoints")]
pub(crate) fn is_on(place: &str) -> bool {
    fail::eval(place, |_| ()).is_some()
}

/// Whether something is to be left out.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn is_on(_place: &str) -> bool {
    false
}
