//! `origin-consumer doctor`: looks at a deployment from outside and inside, and says what is wrong, why it matters and
//! what to do.
//!
//! What is asked of Cloudflare ([`api`]) is judged by functions without I/O, one file a subject: [`before`], [`skip_rule`],
//! [`phases`], [`redirects`], [`worker`], [`lifecycle`]. Rules are not compared as texts, but evaluated ([`expression`]).

pub mod api;
pub mod before;
mod command;
mod deployment;
pub mod expression;
mod finding;
mod inside;
pub mod lifecycle;
mod live;
pub mod phases;
mod plain_http;
pub mod redirects;
pub mod skip_rule;
mod table;
pub mod worker;

pub use command::{DoctorArgs, DoctorError, run};
pub use finding::{Finding, Level};
