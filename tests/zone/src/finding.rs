//! Where a thing is written, and what the simulator refuses of it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The file, as it was given.
    pub file: Arc<str>,
    /// From 1 on.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A thing that the simulator refuses, such as an argument that it does not evaluate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Where it is written; unknown for values of the command line.
    pub origin: Option<Origin>,
    /// What it belongs to, such as `cloudflare_ruleset.custom: rules[2]`; may be empty.
    pub address: String,
    /// Its name, why it is refused, and what would be right.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.address.is_empty() {
            write!(f, "{}: ", self.address)?;
        }
        f.write_str(&self.message)
    }
}

/// All findings, by file and line, each once. As text: one a line.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
pub struct Findings(BTreeSet<Finding>);

impl Findings {
    /// Adds a finding.
    pub fn add(&mut self, origin: Option<&Origin>, address: impl Into<String>, message: impl Into<String>) {
        self.0.insert(Finding { origin: origin.cloned(), address: address.into(), message: message.into() });
    }

    /// Adds all findings of another list.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// `value`, if there is no finding.
    ///
    /// # Errors
    ///
    /// There are findings.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, finding) in self.0.iter().enumerate() {
            write!(f, "{}{finding}", if n == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}
