//! The origin and the consumer: `origin-consumer serve`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::http;
use crate::process::Process;
use crate::tools::binary;

const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// A running `origin-consumer`.
pub struct Origin {
    /// Where the origin listens.
    pub url: String,
    /// Its process.
    pub process: Process,
}

impl Origin {
    /// Starts `origin-consumer serve`, with further `arguments`, configured by `variables`, on `port`.
    pub async fn start(
        folder: &Path,
        port: u16,
        arguments: &[&str],
        variables: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let mut command = Command::new(binary("origin-consumer")?);
        command.args(["--exit-on-stdin-eof", "serve"]).args(arguments).current_dir(folder);
        command.envs(variables).env("SPILLWAY_HTTP__LISTEN", format!("127.0.0.1:{port}"));
        let mut process = Process::start("origin", command, folder)?;
        let url = format!("http://127.0.0.1:{port}");
        let (http, healthz) = (http::client(), format!("{url}/healthz"));
        let alive = async || http.get(&healthz).send().await.is_ok_and(|answer| answer.status().is_success());
        process.ready(READY_TIMEOUT, alive).await?;
        Ok(Self { url, process })
    }

    /// Waits until the database has its schema as well.
    pub async fn await_schema(&mut self) -> Result<()> {
        let (http, readyz) = (http::client(), format!("{}/readyz", self.url));
        let has_schema = async || match http.get(&readyz).send().await {
            Ok(answer) => answer.text().await.is_ok_and(|text| text.contains(r#""schema":"ok""#)),
            Err(_) => false,
        };
        self.process.ready(READY_TIMEOUT, has_schema).await
    }
}
