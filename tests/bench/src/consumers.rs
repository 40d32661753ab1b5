//! `origin-consumer consume` itself, in one process or more, on a ledger that is full.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use local_stack::process::Process;
use local_stack::tools::binary;

use crate::cpu;
use crate::ledgers::Ledger;
use crate::rig::Rig;

const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Nothing that is measured takes longer.
const END_TIMEOUT: Duration = Duration::from_secs(1800);

/// How it runs.
#[derive(Debug, Clone, Copy)]
pub struct Consumers {
    /// How many processes.
    pub processes: usize,
    /// Threads of each that run tasks; as many as there are cores by default.
    pub threads: Option<usize>,
    /// Batches that each works on side by side; by its own default, if none are named.
    pub workers: Option<usize>,
}

impl Default for Consumers {
    fn default() -> Self {
        Self { processes: 1, threads: None, workers: None }
    }
}

/// What it took.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// From the start of the processes until the last object was acknowledged.
    pub wall: Duration,
    /// Of all processes, their starts included.
    pub cpu: Duration,
}

impl Consumers {
    /// Brings all objects of the ledger, which lie in the bucket, into `table` of `database`.
    pub async fn bring(&self, ledger: &Ledger, rig: &Rig, (database, table): (&str, &str)) -> Result<Took> {
        let began = Instant::now();
        let mut processes = Vec::new();
        for _ in 0..self.processes {
            processes.push(self.start(&ledger.url, rig, database, table)?);
        }
        loop {
            let depth = ledger.queue.depth().await?;
            ensure!(depth.dead == 0, "{} objects are dead", depth.dead);
            if depth.pending + depth.batched == 0 {
                break;
            }
            for process in &mut processes {
                if let Some(status) = process.ended()? {
                    bail!("{}", process.obituary(status));
                }
            }
            ensure!(began.elapsed() < END_TIMEOUT, "{} objects are left", depth.pending + depth.batched);
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        let wall = began.elapsed();
        let mut cpu = Duration::ZERO;
        for process in &mut processes {
            cpu += cpu::of_process(process.id())?;
        }
        for process in &mut processes {
            let status = process.stop().await?;
            ensure!(status.success(), "{}", process.obituary(status));
        }
        Ok(Took { wall, cpu })
    }

    fn start(&self, queue_url: &str, rig: &Rig, database: &str, table: &str) -> Result<Process> {
        let mut command = Command::new(binary("origin-consumer")?);
        command.args(["--exit-on-stdin-eof", "consume"]).current_dir(rig.folder());
        command.envs(rig.variables(database, table)).env("SPILLWAY_QUEUE__URL", queue_url);
        // The last batch is not full.
        command.env("SPILLWAY_CONSUMER__BATCH_DELAY_MS", "0");
        if let Some(workers) = self.workers {
            command.env("SPILLWAY_CONSUMER__WORKERS", workers.to_string());
        }
        if let Some(threads) = self.threads {
            // Read by tokio.
            command.env("TOKIO_WORKER_THREADS", threads.to_string());
        }
        Process::start("consumer", command, rig.folder())
    }
}
