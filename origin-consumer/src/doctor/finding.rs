//! What the doctor finds.

use serde::Serialize;

/// How bad it is. The order is that of the exit codes' precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// It is as it should be.
    Ok,
    /// Worth knowing; nothing is to be done.
    Note,
    /// It works, and one more change may break it.
    Warning,
    /// It could not be checked.
    Unchecked,
    /// It is wrong: notifications or spans are, or will be, affected.
    Fault,
}

impl Level {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Unchecked => "not checked",
            Self::Fault => "fault",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its stable name.
    pub code: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What is so.
    pub what: String,
    /// Why it matters; nothing where all is well.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What to do about it; nothing where there is nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub todo: String,
}

impl Finding {
    /// All is well.
    pub fn ok(code: &'static str, what: impl Into<String>) -> Self {
        Self { code, level: Level::Ok, what: what.into(), why: String::new(), todo: String::new() }
    }

    /// Worth knowing.
    pub fn note(code: &'static str, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { level: Level::Note, why: why.into(), ..Self::ok(code, what) }
    }

    /// It works, for now.
    pub fn warning(
        code: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self { level: Level::Warning, ..Self::fault(code, what, why, todo) }
    }

    /// It could not be checked.
    pub fn unchecked(
        code: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self { level: Level::Unchecked, ..Self::fault(code, what, why, todo) }
    }

    /// It is wrong.
    pub fn fault(
        code: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self { code, level: Level::Fault, what: what.into(), why: why.into(), todo: todo.into() }
    }
}
