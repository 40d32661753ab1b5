//! Cloudflare's rules language, as far as rules of the firewall use it: read into a tree, and evaluated against a request of
//! which not everything is known. So an answer is true, false, or unknown.
//!
//! What cannot be known (the client's country, a bot score, a list) is unknown, and so is every function that is not among
//! those of `functions.rs`; a rule that cannot be read at all is an error, and whoever asks takes it for unknown.
//!
//! <https://developers.cloudflare.com/ruleset-engine/rules-language/>

mod evaluate;
mod functions;
mod lexer;
mod parser;
mod request;
#[cfg(test)]
mod tests;
mod tree;
mod value;

pub use lexer::ExpressionError;
pub use request::{Request, UPSTREAM_ZONE};
pub use tree::Expression;
pub use value::{Truth, Value};
