//! A workerd process of `workerd.capnp`.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use local_stack::ports::free_port;
use local_stack::process::Process;
use local_stack::tools::{checkout, exported};
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
    /// Starts the configuration that is the constant `config` of `workerd.capnp`, with its files in `folder`.
    pub async fn start(config: &'static str, folder: &Path) -> Result<Self> {
        let (main, origin) = (address()?, address()?);
        let usage = folder.join(config);
        fs::create_dir_all(&usage)?;
        // workerd does not look whether its owner still lives; with this, the kernel does.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(exported("SPILLWAY_WORKERD")?).arg("serve");
        command.arg(checkout().join("tests/bench/workerd.capnp")).arg(config);
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
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let ticks = cpu_ticks(&stat).context("unreadable /proc/PID/stat")?;
        Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
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

/// `utime` and `stime`, fields 14 and 15; the second one is a name in brackets that may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11);
    let mut number = || fields.next()?.parse::<u64>().ok();
    Some(number()? + number()?)
}

fn address() -> Result<SocketAddr> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)))
}

/// The version that `workerd --version` prints.
pub fn version() -> Result<String> {
    let output = Command::new(exported("SPILLWAY_WORKERD")?).arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_move_the_fields() {
        let stat = "12 (a) b (c) S 1 12 12 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 1000";
        assert_eq!(cpu_ticks(stat), Some(300));
    }
}
