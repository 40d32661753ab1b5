//! A workerd process of `workerd.capnp`.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use local_stack::ports::free_port;
use local_stack::process::Process;
use local_stack::tools::{checkout, exported};
use spillway_bench::cpu;
use tokio::net::TcpStream;

const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// A running workerd, which is killed when this is dropped.
pub struct Workerd {
    process: Process,
    log: PathBuf,
    /// The address of its socket `main`.
    pub url: String,
}

impl Workerd {
    /// Starts the configuration that is the constant `config` of `workerd.capnp`, with its files in `folder`; with the edge that was
    /// built in the checkout `other`, where one is named.
    pub async fn start(config: &'static str, other: Option<&Path>, folder: &Path) -> Result<Self> {
        let (main, origin) = (address()?, address()?);
        let usage = folder.join(config);
        fs::create_dir_all(&usage)?;
        let bench = match other {
            Some(other) => with_edge_of(other, folder)?,
            None => checkout().join(BENCH),
        };
        // workerd does not look whether its owner still lives; with this, the kernel does.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(exported("SPILLWAY_WORKERD")?).arg("serve");
        command.arg(bench.join("workerd.capnp")).arg(config);
        command.arg("--socket-addr").arg(format!("main={main}"));
        if config == "calls" {
            command.arg("--socket-addr").arg(format!("origin={origin}"));
            command.arg("--external-addr").arg(format!("origin-over-http={origin}"));
        }
        if config.starts_with("edge") {
            command.arg("--directory-path").arg(format!("allowance-folder={}", usage.display()));
        }
        let mut process = Process::start(config, command, folder)?;
        process.ready(READY_TIMEOUT, async || TcpStream::connect(main).await.is_ok()).await?;
        Ok(Self { process, log: folder.join(format!("{config}.log")), url: format!("http://{main}") })
    }

    /// The CPU time that the process has used, user and system.
    pub fn cpu(&self) -> Result<Duration> {
        cpu::of_process(self.process.id())
    }

    /// An error if the Workers logged one: what fails after the answer is not seen in answers.
    pub fn logged_no_error(&self) -> Result<()> {
        let log = fs::read_to_string(&self.log)?;
        let bad =
            log.lines().find(|line| line.to_lowercase().contains("error") || line.contains("not_notified"));
        ensure!(bad.is_none(), "{}: {}", self.log.display(), bad.unwrap_or_default());
        Ok(())
    }
}

fn address() -> Result<SocketAddr> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)))
}

/// Where `workerd.capnp` lies in a checkout, and what it reads.
const BENCH: &str = "tests/bench";

/// Makes a checkout in `folder` that is this one but for the edge, which is that of `other`, and returns its [`BENCH`]. So both edges
/// get the same bindings and stubs; an edge looks only for those that it knows.
fn with_edge_of(other: &Path, folder: &Path) -> Result<PathBuf> {
    let edge = other.join("edge-ingest/build");
    let script = edge.join("index.js");
    ensure!(script.is_file(), "{} is not there: build the edge of that checkout first", script.display());
    let (this, mixed) = (checkout(), folder.join("checkout"));
    for folder in [BENCH, "edge-ingest"] {
        fs::create_dir_all(mixed.join(folder))?;
    }
    symlink(edge.canonicalize()?, mixed.join("edge-ingest/build"))?;
    for part in ["workerd.capnp", "workers", "read-body"] {
        symlink(this.join(BENCH).join(part), mixed.join(BENCH).join(part))?;
    }
    Ok(mixed.join(BENCH))
}

/// The version that `workerd --version` prints.
pub fn version() -> Result<String> {
    let output = Command::new(exported("SPILLWAY_WORKERD")?).arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
