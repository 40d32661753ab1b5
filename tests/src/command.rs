//! Commands of `origin-consumer` that end by themselves.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use local_stack::tools::binary;

/// What a command came to.
#[derive(Debug)]
pub struct CommandOutput {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub said: String,
}

impl CommandOutput {
    /// The standard output, if it succeeded.
    pub fn success(self) -> Result<String> {
        ensure!(self.code == 0, "{self:?}");
        Ok(self.out)
    }

    /// The standard error, if it ended with `code`.
    pub fn ended(self, code: i32) -> Result<String> {
        ensure!(self.code == code, "ended with {} instead of {code}\n{}{}", self.code, self.out, self.said);
        Ok(self.said)
    }

    /// The standard error, if it ended with `code` and put nothing out.
    pub fn failure(self, code: i32) -> Result<String> {
        ensure!(self.code == code && self.out.is_empty(), "{self:?}");
        Ok(self.said)
    }
}

/// Runs `origin-consumer` with the arguments, which spaces separate, and with these variables only.
pub async fn origin_consumer(arguments: &str, variables: &BTreeMap<String, String>) -> Result<CommandOutput> {
    let mut command = Command::new(binary("origin-consumer")?);
    command.env_clear().envs(variables).args(arguments.split_whitespace());
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(move || command.output()).await??;
    let code = status.code().context("ended by a signal")?;
    Ok(CommandOutput { code, out: String::from_utf8(stdout)?, said: String::from_utf8(stderr)? })
}
