//! A circuit breaker: what has failed often is left alone for a while, then tried by one call.

use std::time::Duration;

use spillway_proto::UnixMillis;

/// When to open, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open before a probe.
    pub open_for: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self { failures: 5, open_for: Duration::from_secs(30) }
    }
}

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Everything.
    Closed,
    /// Nothing.
    Open,
    /// One call, whose outcome decides.
    HalfOpen,
}

impl State {
    /// The state's name, for metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// A breaker of one isolate.
#[derive(Debug, Default)]
pub struct Breaker {
    failures: u32,
    opened_at: Option<UnixMillis>,
    probe_since: Option<UnixMillis>,
}

impl Breaker {
    /// A closed one.
    pub const fn new() -> Self {
        Self { failures: 0, opened_at: None, probe_since: None }
    }

    /// Whether a call may be made now; half open, this takes the one probe.
    pub fn admit(&mut self, policy: &BreakerPolicy, now: UnixMillis) -> bool {
        match self.state(policy, now) {
            State::Closed => true,
            State::Open => false,
            State::HalfOpen => {
                // A probe that never came back, because its request was cancelled, must not keep the breaker shut for ever.
                let taken = self.probe_since.is_some_and(|since| !has_passed(since, policy.open_for, now));
                if !taken {
                    self.probe_since = Some(now);
                }
                !taken
            }
        }
    }

    /// A call succeeded.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A call failed. Returns whether this opened the breaker.
    pub fn failed(&mut self, policy: &BreakerPolicy, now: UnixMillis) -> bool {
        self.failures = self.failures.saturating_add(1);
        let probe_failed = self.probe_since.take().is_some();
        let opens = probe_failed || (self.opened_at.is_none() && self.failures >= policy.failures);
        if opens {
            self.opened_at = Some(now);
        }
        opens
    }

    /// The state at `now`.
    pub fn state(&self, policy: &BreakerPolicy, now: UnixMillis) -> State {
        match self.opened_at {
            None => State::Closed,
            Some(opened_at) if has_passed(opened_at, policy.open_for, now) => State::HalfOpen,
            Some(_) => State::Open,
        }
    }
}

fn has_passed(since: UnixMillis, duration: Duration, now: UnixMillis) -> bool {
    // A clock that stepped back counts as time that has passed.
    now < since || u128::from(now.0 - since.0) >= duration.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: BreakerPolicy = BreakerPolicy { failures: 3, open_for: Duration::from_secs(30) };

    fn at(seconds: u64) -> UnixMillis {
        UnixMillis(1_000_000 + seconds * 1_000)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..2 {
            assert!(breaker.admit(&POLICY, at(0)) && !breaker.failed(&POLICY, at(0)));
        }
        assert!(breaker.failed(&POLICY, at(0)));
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_after_a_probe() {
        let mut breaker = opened();
        assert!(!breaker.admit(&POLICY, at(29)));
        assert_eq!(breaker.state(&POLICY, at(30)), State::HalfOpen);
        assert!(breaker.admit(&POLICY, at(30)) && !breaker.admit(&POLICY, at(30)), "one probe");
        breaker.succeeded();
        assert_eq!(breaker.state(&POLICY, at(30)), State::Closed);
    }

    #[test]
    fn a_failed_probe_opens_it_again() {
        let mut breaker = opened();
        assert!(breaker.admit(&POLICY, at(30)));
        assert!(breaker.failed(&POLICY, at(31)));
        assert_eq!(breaker.state(&POLICY, at(60)), State::Open);
        assert_eq!(breaker.state(&POLICY, at(61)), State::HalfOpen);
    }

    #[test]
    fn a_success_forgets_the_failures_and_a_lost_probe_is_replaced() {
        let mut breaker = Breaker::default();
        breaker.failed(&POLICY, at(0));
        breaker.failed(&POLICY, at(0));
        breaker.succeeded();
        assert!(!breaker.failed(&POLICY, at(0)));
        let mut breaker = opened();
        assert!(
            breaker.admit(&POLICY, at(30))
                && !breaker.admit(&POLICY, at(59))
                && breaker.admit(&POLICY, at(60))
        );
    }
}
