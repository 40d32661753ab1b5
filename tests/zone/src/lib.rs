//! A simulator of a Cloudflare zone. It does to a request what a zone does, in its order: custom rules, the products that a
//! custom rule may skip, rate limiting rules, managed rules, Super Bot Fight Mode; then the Worker, if a route matches,
//! else the origin. Rules are read from the Terraform that users apply, or from what Cloudflare's API says, and their expressions
//! are evaluated by Cloudflare's own engine.
//!
//! It refuses what it does not evaluate, with file, line and name ([`finding`]): other phases, actions and fields of rulesets, lists,
//! account rulesets, and every part of Terraform that is not known to leave requests alone. Nothing is cached. What
//! Cloudflare does not document is noted where it is decided ([`rate_limit`], [`subrequests`]).
//!
//! - <https://developers.cloudflare.com/waf/custom-rules/skip/options/>
//! - <https://developers.cloudflare.com/waf/rate-limiting-rules/request-rate/>
//! - <https://developers.cloudflare.com/ruleset-engine/reference/phases-list/>

pub mod expression;
pub mod finding;
pub mod firewall;
pub mod front;
pub mod json;
pub mod rate_limit;
pub mod record;
pub mod request;
pub mod route;
pub mod rules;
pub mod ruleset;
pub mod subrequests;
pub mod terraform;
pub mod value;
pub mod zone;
