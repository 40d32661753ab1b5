//! The Collector's ClickHouse exporter as a process: `collector/main.go`, compiled by `make agreement`.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use local_stack::engine::Engine;
use local_stack::tools::exported;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The variable that names the program.
const PROGRAM: &str = "SPILLWAY_COLLECTOR_EXPORTER";

/// How long it may take for a request, its start included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The database that the exporter makes its tables in.
pub const DATABASE: &str = "collector";

/// A running exporter.
pub struct Exporter {
    child: Child,
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Answer {
    /// How many spans were stored.
    pub spans: usize,
    /// Why none was.
    pub error: Option<String>,
}

impl Exporter {
    /// Starts the exporter, which makes its tables in the engine.
    pub fn start(engine: &Engine) -> Result<Self> {
        let program = exported(PROGRAM).context("run `make agreement`, which compiles the exporter")?;
        let mut command = Command::new(program);
        command.args(["-endpoint", &engine.url, "-database", DATABASE, "-username", &engine.user]);
        command.env("CLICKHOUSE_PASSWORD", &engine.password);
        // clickhouse-go would reach loopback through a proxy, too.
        command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let requests = child.stdin.take().context("no standard input")?;
        let answers = child.stdout.take().context("no standard output")?;
        Ok(Self { child, requests, answers: BufReader::new(answers).lines() })
    }

    /// Exports a request (protobuf).
    pub async fn export(&mut self, request: &[u8]) -> Result<Answer> {
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, self.exchange(request)).await;
        answer.with_context(|| format!("no answer of the exporter within {REQUEST_TIMEOUT:?}"))?
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        let length = u32::try_from(request.len())?;
        self.requests.write_all(&length.to_be_bytes()).await?;
        self.requests.write_all(request).await?;
        let Some(line) = self.answers.next_line().await? else {
            bail!("the exporter ended: {}", self.child.wait().await?);
        };
        serde_json::from_str(&line).with_context(|| format!("the exporter answered {line}"))
    }

    /// Ends the exporter.
    pub async fn stop(mut self) -> Result<()> {
        drop(self.requests);
        let status = self.child.wait().await?;
        ensure!(status.success(), "the exporter ended: {status}");
        Ok(())
    }
}
