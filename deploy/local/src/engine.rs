//! ClickHouse: the server that the environment names, else one that the machine has, else the embedded engine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use clickhouse::Client;

use crate::http;
use crate::ports::free_port;
use crate::process::Process;
use crate::tools::{binary, exported};

const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// Where ClickHouse comes from.
#[derive(Clone)]
pub enum Source {
    /// `CLICKHOUSE_URL`, with user and password in `CLICKHOUSE_USER` and `CLICKHOUSE_PASSWORD`. Never stopped by us.
    Url {
        /// The HTTP interface.
        url: String,
        /// The user.
        user: String,
        /// The user's password.
        password: String,
    },
    /// The `clickhouse` binary of the machine.
    Binary(PathBuf),
    /// `origin-consumer clickhouse`.
    Embedded,
}

impl Source {
    /// What the environment asks for. The URL of a stack that was started here (`.run/env`) is none to build on.
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let of_run = variable("SPILLWAY_RUN_CLICKHOUSE_URL");
        if let Some(url) = variable("CLICKHOUSE_URL").filter(|url| of_run.as_ref() != Some(url)) {
            let user = variable("CLICKHOUSE_USER").unwrap_or_else(|| "default".to_owned());
            return Self::Url { url, user, password: variable("CLICKHOUSE_PASSWORD").unwrap_or_default() };
        }
        let path = variable("PATH").unwrap_or_default();
        let found =
            std::env::split_paths(&path).map(|folder| folder.join("clickhouse")).find(|path| path.is_file());
        found.map_or(Self::Embedded, Self::Binary)
    }
}

/// A running ClickHouse.
pub struct Engine {
    /// The HTTP interface.
    pub url: String,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// The database that the stack works in.
    pub database: String,
    own: Option<Own>,
}

/// What is needed to start our own again.
struct Own {
    source: Source,
    folder: PathBuf,
    http_port: u16,
    vars: BTreeMap<String, String>,
    process: Process,
}

impl Engine {
    /// Starts ClickHouse with its data in `folder`, or looks for the one that is named.
    pub async fn start(source: &Source, folder: &Path, database: &str) -> Result<Self> {
        Self::start_with(source, folder, database, BTreeMap::new()).await
    }

    /// Starts it with further variables in the environment of its process, now and at each restart.
    pub async fn start_with(
        source: &Source,
        folder: &Path,
        database: &str,
        vars: BTreeMap<String, String>,
    ) -> Result<Self> {
        let database = database.to_owned();
        if let Source::Url { url, user, password } = source {
            let engine = Self {
                url: url.clone(),
                user: user.clone(),
                password: password.clone(),
                database,
                own: None,
            };
            let ping = engine.server().query("SELECT 1").fetch_one::<u8>().await;
            ping.context("the server of CLICKHOUSE_URL does not answer")?;
            return Ok(engine);
        }
        let http_port = free_port()?;
        let process = start_process(source, folder, http_port, &database, &vars).await?;
        let own = Own { source: source.clone(), folder: folder.to_owned(), http_port, vars, process };
        let url = format!("http://127.0.0.1:{http_port}");
        Ok(Self { url, user: "default".to_owned(), password: String::new(), database, own: Some(own) })
    }

    /// Starts our own again, after it was stopped or killed, on the same data and port.
    pub async fn restart(&mut self) -> Result<()> {
        let own = self.own.as_mut().context("a server that others run is not ours to restart")?;
        own.process =
            start_process(&own.source, &own.folder, own.http_port, &self.database, &own.vars).await?;
        Ok(())
    }

    /// A client for the stack's database.
    pub fn client(&self) -> Client {
        self.server().with_database(&self.database)
    }

    /// A client for the server.
    pub fn server(&self) -> Client {
        Client::default().with_url(&self.url).with_user(&self.user).with_password(&self.password)
    }

    /// Whether it was started here, and ends with the stack.
    pub fn is_ours(&self) -> bool {
        self.own.is_some()
    }

    /// The process, where it is ours.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.own.as_mut().map(|own| &mut own.process)
    }
}

async fn start_process(
    source: &Source,
    folder: &Path,
    http_port: u16,
    database: &str,
    vars: &BTreeMap<String, String>,
) -> Result<Process> {
    let mut command = match source {
        Source::Binary(path) => server_command(path, folder, http_port)?,
        Source::Url { .. } | Source::Embedded => embedded_command(folder, http_port, database)?,
    };
    command.envs(vars);
    let mut process = Process::start("clickhouse", command, folder)?;
    let (http, ping) = (http::client(), format!("http://127.0.0.1:{http_port}/ping"));
    process.ready(READY_TIMEOUT, async || http.get(&ping).send().await.is_ok()).await?;
    Ok(process)
}

fn embedded_command(folder: &Path, http_port: u16, database: &str) -> Result<Command> {
    let mut command = Command::new(binary("origin-consumer")?);
    command.args(["--exit-on-stdin-eof", "clickhouse", "--http-port"]).arg(http_port.to_string());
    command.arg("--data").arg(folder.join("clickhouse")).args(["--database", database]);
    command.arg("--library").arg(exported("SPILLWAY_CHDB_LIBRARY")?);
    Ok(command)
}

/// Runs `clickhouse server` (`$0`) with a configuration (`$1`). A server does not look at its standard input, so a
/// subshell does, and ends it. The second wait is for the server's own end, after the first was broken off by the signal.
const SERVE: &str = r#"
    exec 3<&0
    "$0" server --config-file="$1" </dev/null 3<&- & server=$!
    trap 'kill "$server"' TERM
    (cat <&3 >/dev/null; kill "$server") &
    wait "$server"; wait "$server"
"#;

/// A server with one user, on loopback only.
fn server_command(clickhouse: &Path, folder: &Path, http_port: u16) -> Result<Command> {
    let data = folder.join("clickhouse");
    fs::create_dir_all(&data)?;
    let config = data.join("config.xml");
    let text = format!(
        "<clickhouse>
            <logger><console>true</console><level>warning</level></logger>
            <listen_host>127.0.0.1</listen_host>
            <http_port>{http_port}</http_port>
            <path>{}/</path>
            <user_directories><users_xml><path>{}</path></users_xml></user_directories>
            <profiles><default/></profiles>
            <quotas><default/></quotas>
            <users><default><password/><networks><ip>127.0.0.1</ip></networks></default></users>
        </clickhouse>",
        data.display(),
        config.display()
    );
    fs::write(&config, text)?;
    let mut command = Command::new("sh");
    command.args(["-c", SERVE]);
    command.arg(clickhouse).arg(&config);
    Ok(command)
}
