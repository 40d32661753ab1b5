//! A call to something outside: bounded in time, tried again, and left alone while it fails.

use std::cell::RefCell;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::breaker::{Breaker, BreakerPolicy, State};
use super::retry::{RetryPolicy, retry};
use crate::ports::{PortError, Runtime};

/// No call may take longer, whatever is configured.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(10);

/// How something is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkPolicy {
    /// What one try may take.
    pub timeout: Duration,
    /// How often it is tried.
    pub retry: RetryPolicy,
    /// When it is left alone; none is never.
    pub breaker: Option<BreakerPolicy>,
}

/// What an isolate remembers of something that it calls.
#[derive(Debug)]
pub struct Link {
    name: &'static str,
    breaker: RefCell<Breaker>,
}

impl Link {
    /// The link to what logs call `name`.
    pub const fn new(name: &'static str) -> Self {
        Self { name, breaker: RefCell::new(Breaker::new()) }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The state of its breaker.
    pub fn state(&self, policy: &LinkPolicy, runtime: &impl Runtime) -> State {
        policy.breaker.map_or(State::Closed, |breaker| self.breaker.borrow().state(&breaker, runtime.now()))
    }

    /// Calls `attempt` as `policy` says.
    pub async fn call<T>(
        &self,
        policy: &LinkPolicy,
        runtime: &impl Runtime,
        mut attempt: impl AsyncFnMut() -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        retry(&policy.retry, runtime, async || {
            self.admit(policy, runtime)?;
            let answer = self.within(policy.timeout, runtime, attempt()).await;
            self.note(&answer, policy, runtime);
            answer
        })
        .await
    }

    /// Calls `attempt` as `policy` says, whose timeout holds for all tries together. No breaker looks on: it would not see a try
    /// that the timeout has cut off.
    pub async fn call_in_all<T>(
        &self,
        policy: &LinkPolicy,
        runtime: &impl Runtime,
        attempt: impl AsyncFnMut() -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        self.within(policy.timeout, runtime, retry(&policy.retry, runtime, attempt)).await
    }

    fn admit(&self, policy: &LinkPolicy, runtime: &impl Runtime) -> Result<(), PortError> {
        match &policy.breaker {
            Some(breaker) if !self.breaker.borrow_mut().admit(breaker, runtime.now()) => {
                Err(self.fault("is left alone after repeated failures"))
            }
            _ => Ok(()),
        }
    }

    fn note<T>(&self, answer: &Result<T, PortError>, policy: &LinkPolicy, runtime: &impl Runtime) {
        let Some(breaker) = &policy.breaker else { return };
        match answer {
            Ok(_) => self.breaker.borrow_mut().succeeded(),
            Err(_) => drop(self.breaker.borrow_mut().failed(breaker, runtime.now())),
        }
    }

    /// Waits for `work`, and no longer than `timeout`. What was begun may still come to its end.
    pub async fn within<T>(
        &self,
        timeout: Duration,
        runtime: &impl Runtime,
        work: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let timeout = timeout.min(MAX_TIMEOUT);
        let answer = Self::within_time(timeout, runtime, work).await;
        answer.unwrap_or_else(|| Err(self.fault(&format!("did not answer within {timeout:?}"))))
    }

    /// Waits for `work`; none if it takes longer than `timeout`.
    pub async fn within_time<T>(
        timeout: Duration,
        runtime: &impl Runtime,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        match select(std::pin::pin!(work), std::pin::pin!(runtime.sleep(timeout))).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(((), _)) => None,
        }
    }

    fn fault(&self, detail: &str) -> PortError {
        PortError { what: self.name, detail: detail.to_owned() }
    }
}
