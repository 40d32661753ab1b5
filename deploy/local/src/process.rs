//! One part's process: it logs to a file, and ends with its owner.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::descendants;

/// How long a part may take to end after its signal.
const END_TIMEOUT: Duration = Duration::from_secs(30);
/// How often to look whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How much of its log is shown when a part fails, in lines.
const LOG_TAIL_LINES: usize = 15;

/// A child process in a process group of its own. When it is dropped, the group is killed with all that left it; should the
/// owner be killed before it can do that, the child sees the end of its standard input.
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
    stop_signal: Signal,
}

impl Process {
    /// Starts `command`, with its output in `folder/name.log`.
    pub fn start(name: &'static str, mut command: Command, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let log = folder.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {name}: {command:?}"))?;
        Ok(Self { name, child, log, stop_signal: Signal::TERM })
    }

    /// The same process, which is asked to end by another signal than SIGTERM.
    #[must_use]
    pub fn stopped_by(mut self, signal: Signal) -> Self {
        self.stop_signal = signal;
        self
    }

    /// Waits until `is_ready`; an error if the process ends before that, or takes longer than `at_most`.
    pub async fn ready(&mut self, at_most: Duration, is_ready: impl AsyncFn() -> bool) -> Result<()> {
        let deadline = Instant::now() + at_most;
        loop {
            if is_ready().await {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{}", self.obituary(status));
            }
            if Instant::now() > deadline {
                bail!("{} was not ready after {at_most:?}\n{}", self.name, self.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process has ended, and how.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// What to say of a process that ended by itself.
    pub fn obituary(&self, status: ExitStatus) -> String {
        format!("{} ended by itself ({status})\n{}", self.name, self.log_tail())
    }

    /// Asks the process to end, and waits for that.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(self.stop_signal);
        self.wait(END_TIMEOUT).await
    }

    /// `kill -9`, to all that it started as well.
    pub async fn kill(&mut self) -> Result<ExitStatus> {
        let killed = self.kill_all();
        let status = self.wait(END_TIMEOUT).await?;
        let deadline = Instant::now() + END_TIMEOUT;
        while killed.iter().any(|&pid| descendants::is_alive(pid)) {
            if Instant::now() > deadline {
                bail!("what {} started did not end within {END_TIMEOUT:?}", self.name);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(status)
    }

    /// Sends a signal to the process and to what it started. What left its group, as PostgreSQL's backends do, is killed,
    /// halted and continued with it; of other signals it hears by the process, if at all.
    pub fn signal(&self, signal: Signal) {
        match signal {
            Signal::KILL => {
                self.kill_all();
            }
            Signal::STOP => {
                self.stop_all();
            }
            Signal::CONT => {
                send(&self.outside_of_group(), signal);
                self.signal_group(signal);
            }
            _ => self.signal_group(signal),
        }
    }

    /// Kills all; the answer is who was outside of the group. Halted first: a killed parent is no longer known as one.
    fn kill_all(&self) -> Vec<Pid> {
        let outside = self.stop_all();
        send(&outside, Signal::KILL);
        self.signal_group(Signal::KILL);
        outside
    }

    /// Halts all; the answer is who is outside of the group. One that was seen running may have started others since.
    fn stop_all(&self) -> Vec<Pid> {
        self.signal_group(Signal::STOP);
        let mut stopped = Vec::new();
        loop {
            let outside = self.outside_of_group();
            if outside.iter().all(|pid| stopped.contains(pid)) {
                return outside;
            }
            send(&outside, Signal::STOP);
            stopped = outside;
        }
    }

    fn outside_of_group(&self) -> Vec<Pid> {
        self.group().map(descendants::outside_of_group).unwrap_or_default()
    }

    fn signal_group(&self, signal: Signal) {
        if let Some(group) = self.group() {
            // An error means that nobody is left in the group.
            let _ = kill_process_group(group, signal);
        }
    }

    fn group(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    async fn wait(&mut self, at_most: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + at_most;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} did not end within {at_most:?}\n{}", self.name, self.log_tail());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
        format!("the end of its log, {}:\n    {}", self.log.display(), tail.join("\n    "))
    }
}

fn send(to: &[Pid], signal: Signal) {
    for &pid in to {
        // An error means that it has ended.
        let _ = kill_process(pid, signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let killed = self.kill_all();
        let _ = self.child.wait();
        let deadline = Instant::now() + END_TIMEOUT;
        while killed.iter().any(|&pid| descendants::is_alive(pid)) && Instant::now() < deadline {
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}
