//! Where a thing is written, and what the simulator refuses of it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::fs;
use std::path::Path;
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

/// One line, whatever the texts in it hold.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = String::new();
        if let Some(origin) = &self.origin {
            write!(line, "{origin}: ")?;
        }
        if !self.address.is_empty() {
            write!(line, "{}: ", self.address)?;
        }
        line.push_str(&self.message);
        f.write_str(&one_line(&line))
    }
}

/// A text with its control characters as escapes (`\n`).
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut line = String::new();
    for char in text.chars() {
        if char.is_control() {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
    }
    Cow::Owned(line)
}

/// Reads a file; `None`: `findings` says at which line it is no text, or why it cannot be read.
pub fn read_text(path: &Path, findings: &mut Findings) -> Option<String> {
    let mut refuse = |line, message: String| {
        let origin = Origin { file: path.display().to_string().into(), line };
        findings.add(Some(&origin), "", message);
    };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            refuse(1, format!("this file cannot be read: {error}"));
            return None;
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            refuse(line, "this file is not UTF-8".to_owned());
            None
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line() {
        let finding = Finding {
            origin: Some(Origin { file: "a\nb.tf".into(), line: 3 }),
            address: "x[\"\r\"]".to_owned(),
            message: "`ssl\n\tand é\u{85}`".to_owned(),
        };
        assert_eq!(finding.to_string(), "a\\nb.tf:3: x[\"\\r\"]: `ssl\\n\\tand é\\u{85}`");
    }

    #[test]
    fn a_file_that_is_no_text_is_named_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.tf");
        let read = |path: &Path| {
            let mut findings = Findings::default();
            let text = read_text(path, &mut findings);
            assert_eq!(text.is_none(), findings.count() == 1);
            text.unwrap_or_else(|| findings.to_string())
        };
        fs::write(&path, "a\nb").expect("written");
        assert_eq!(read(&path), "a\nb");
        fs::write(&path, b"a\nb\n\xff\n").expect("written");
        assert_eq!(read(&path), format!("{}:3: this file is not UTF-8", path.display()));
        let missing = folder.path().join("b.tf");
        let expected = format!("{}:1: this file cannot be read: ", missing.display());
        assert!(read(&missing).starts_with(&expected), "{}", read(&missing));
    }
}
