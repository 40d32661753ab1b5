//! A probe through the edge.

use super::finding::Finding;
use crate::config::Config;

/// Sends it, and waits for it.
pub(super) async fn examine(_config: &Config) -> Vec<Finding> {
    Vec::new()
}
