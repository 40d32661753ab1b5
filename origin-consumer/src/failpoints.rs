//! Places where tests make this program fail. Without the feature `failpoints`, which no release has, nothing of it is
//! compiled in.
//!
//! The environment's `FAILPOINTS` switches them, as the crate `fail` describes: `consume::stored=1*return(abort)` ends the
//! process at that place the first time it comes there, without a word. `return(TENANT)` at `consume::deadly` ends it
//! whenever a batch holds an object of that tenant.
//!
//! | place | what has been done, and what has not |
//! | --- | --- |
//! | `queue::enqueue` | notifications are believed, and not yet taken in |
//! | `queue::transaction` | a transaction of the ledger has begun |
//! | `queue::enqueued` | notifications are in the ledger, and nobody was told so |
//! | `consume::claimed`, `consume::deadly` | a batch is ours |
//! | `consume::fetched` | its objects are here |
//! | `consume::decode` | an object is about to be decoded |
//! | `consume::decoded` | all rows are here |
//! | `consume::insert_begun` | the ledger knows that an insert begins |
//! | `insert::day_inserted` | the rows of one day are in ClickHouse |
//! | `consume::inserted` | all rows are in ClickHouse, and the ledger does not know |
//! | `consume::acknowledged` | the ledger knows |
//! | `sweep::looking` | a look has begun |
//! | `sweep::claimed` | a minute is ours for a pass |
//! | `sweep::listed` | what was found is in the ledger, and the pass is not yet done |
//! | `dead_letters::copied` | a dead object is copied, its reason is not |
//! | `audit::asked` | ClickHouse has answered the audit, and the ledger does not know |
//! | `rebuild::made` | the new tables are made, and empty |
//! | `rebuild::day_begun` | the partition of a day is empty |
//! | `rebuild::day_copied` | a day is copied, and that is not noted |
//! | `rebuild::filled` | all days are copied |
//! | `rebuild::caught_up` | both tables were compared once, beside consumers |
//! | `rebuild::paused`, `rebuild::quiet` | inserts are paused; those that had begun have ended |
//! | `rebuild::same` | both tables have the same rows |
//! | `rebuild::view_changed` | the view has its new query |
//! | `rebuild::times_exchanged`, `rebuild::exchanged` | the times of traces are exchanged; the spans are |
//! | `rebuild::settled` | what came into the old table meanwhile is in the new one |
//! | `rebuild::verified`, `rebuild::ttl_set` | both were compared; the new one has the old one's TTL |
//!
//! `insert::trust_tokens` leaves out all that goes beyond deduplication tokens.

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

/// A place that ends the process where what it is told to look for is met.
#[cfg(feature = "failpoints")]
pub(crate) fn meet(place: &str, is_met: impl Fn(&str) -> bool) {
    if fail::eval(place, |what| what).flatten().is_some_and(|what| is_met(&what)) {
        std::process::abort();
    }
}

/// A place that ends the process where what it is told to look for is met.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn meet(_place: &str, _is_met: impl Fn(&str) -> bool) {}

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
