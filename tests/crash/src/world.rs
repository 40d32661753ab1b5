//! The parts, as processes that can be killed, halted and started again.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use local_stack::edge::{Edge, EdgeOptions, S3Credentials};
use local_stack::engine::{Engine, Source};
use local_stack::keys::{Key, random_secret};
use local_stack::ports::free_port;
use local_stack::postgres::Postgres;
use local_stack::process::Process;
use local_stack::stack::BUCKET;
use local_stack::tools::binary;
use rustix::process::Signal;
use serde_json::json;
use spillway_tests::faults::SlowRename;

use crate::lossy::LossyWay;
use crate::plan::{Plan, StoreKind};

/// Tries to start ClickHouse: right after a kill the first one may fail.
const ENGINE_STARTS: u32 = 3;
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const NAMES: [&str; 16] = [
    "consumer-1",
    "consumer-2",
    "consumer-3",
    "consumer-4",
    "consumer-5",
    "consumer-6",
    "consumer-7",
    "consumer-8",
    "consumer-9",
    "consumer-10",
    "consumer-11",
    "consumer-12",
    "consumer-13",
    "consumer-14",
    "consumer-15",
    "consumer-16",
];

/// A part that may be struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The server that spans go to.
    ClickHouse,
    /// The server of the queue and the ledger, where it is one.
    Postgres,
    /// What takes notifications, and sweeps.
    Origin,
    /// One of those that store.
    Consumer(usize),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClickHouse => "clickhouse",
            Self::Postgres => "postgres",
            Self::Origin => "origin",
            Self::Consumer(number) => NAMES[*number],
        })
    }
}

/// All parts; they end when it is dropped.
pub struct World {
    /// ClickHouse.
    pub engine: Engine,
    /// The Worker, which nobody kills.
    pub edge: Edge,
    /// The keys of the tenants.
    pub keys: Vec<Key>,
    /// The way of the notifications.
    pub lossy: LossyWay,
    /// Where the origin listens.
    pub origin_url: String,
    postgres: Option<Postgres>,
    origin: Option<Process>,
    consumers: Vec<Option<Process>>,
    variables: BTreeMap<String, String>,
    slow_rename: Option<SlowRename>,
    folder: PathBuf,
}

impl World {
    /// Starts everything.
    pub async fn start(plan: &Plan, folder: &Path) -> Result<Self> {
        let slow_rename = (!plan.rename_delay().is_zero()).then(SlowRename::build).transpose()?;
        let engine_vars = slow_rename.as_ref().map(SlowRename::vars).unwrap_or_default();
        let source = match Source::from_environment() {
            Source::Url { .. } => Source::Embedded,
            ours => ours,
        };
        let engine = Engine::start_with(&source, folder, "spillway", engine_vars).await?;
        let postgres = match plan.store {
            StoreKind::Sqlite => None,
            StoreKind::Postgres => Some(Postgres::start(folder).await?),
        };
        let origin_port = free_port()?;
        let origin_url = format!("http://127.0.0.1:{origin_port}");
        let lossy = LossyWay::start(origin_url.clone(), plan.drop, plan.chance(1)).await?;
        let keys = keys(plan.tenants)?;
        let (s3, signing_key) = (s3()?, random_secret()?);
        let edge = start_edge(folder, &keys, &s3, &lossy.url, &signing_key).await?;
        let mut variables = edge.keys_variables(&signing_key);
        let queue = match &postgres {
            Some(postgres) => postgres.url(),
            None => format!("sqlite:{}", folder.join("queue.sqlite").display()),
        };
        let own = [
            ("HTTP__LISTEN", format!("127.0.0.1:{origin_port}")),
            ("QUEUE__URL", queue),
            ("S3__ENDPOINT", edge.s3_endpoint()),
            ("S3__BUCKET", BUCKET.to_owned()),
            ("S3__ACCESS_KEY_ID", s3.access_key_id),
            ("S3__SECRET_ACCESS_KEY", s3.secret_access_key),
            ("CLICKHOUSE__URL", engine.url.clone()),
            ("CLICKHOUSE__DATABASE", engine.database.clone()),
            ("CONSUMER__LEASE_SECONDS", plan.lease.to_string()),
            ("CONSUMER__BATCH_OBJECTS", plan.batch_objects.to_string()),
            ("CONSUMER__BATCH_DELAY_MS", plan.batch_delay.to_string()),
            ("SWEEP__INTERVAL_SECONDS", "1".to_owned()),
            ("SWEEP__GRACE_SECONDS", "2".to_owned()),
            ("SWEEP__PASSES_SECONDS", "[5, 30]".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
        ];
        variables.extend(own.map(|(name, value)| (format!("SPILLWAY_{name}"), value)));
        if plan.prove {
            variables.insert("FAILPOINTS".to_owned(), "insert::trust_tokens=return".to_owned());
        }
        let consumers = (0..plan.consumers).map(|_| None).collect();
        let folder = folder.to_owned();
        let mut world = Self {
            engine,
            edge,
            keys,
            lossy,
            origin_url,
            postgres,
            origin: None,
            consumers,
            variables,
            slow_rename,
            folder,
        };
        world.migrate().await?;
        world.delay_renames(plan.rename_delay())?;
        for part in world.parts() {
            world.start_again(part).await?;
        }
        world.await_origin().await?;
        Ok(world)
    }

    /// All that may be struck.
    pub fn parts(&self) -> Vec<Part> {
        let servers =
            [Some(Part::ClickHouse), self.postgres.as_ref().map(|_| Part::Postgres), Some(Part::Origin)];
        servers.into_iter().flatten().chain((0..self.consumers.len()).map(Part::Consumer)).collect()
    }

    /// From now on, a rename of ClickHouse takes so much longer.
    pub fn delay_renames(&self, by: Duration) -> Result<()> {
        self.slow_rename.as_ref().map_or(Ok(()), |slow_rename| slow_rename.delay(by))
    }

    /// `kill -9`
    pub async fn kill(&mut self, part: Part) -> Result<()> {
        if let Some(process) = self.process(part) {
            process.kill().await?;
        }
        Ok(())
    }

    /// SIGSTOP
    pub fn halt(&mut self, part: Part) {
        self.signal(part, Signal::STOP);
    }

    /// SIGCONT
    pub fn resume(&mut self, part: Part) {
        self.signal(part, Signal::CONT);
    }

    fn signal(&mut self, part: Part, signal: Signal) {
        if let Some(process) = self.process(part) {
            process.signal(signal);
        }
    }

    /// How the part has ended, if it has.
    pub fn ended(&mut self, part: Part) -> Result<Option<ExitStatus>> {
        self.process(part).map_or(Ok(None), Process::ended)
    }

    /// Starts a part, unless it runs. The servers are ready then; the others may not be.
    pub async fn start_again(&mut self, part: Part) -> Result<()> {
        let runs = self.process(part).is_some() && self.ended(part)?.is_none();
        if runs {
            return Ok(());
        }
        match part {
            Part::ClickHouse => self.start_engine().await,
            Part::Postgres => self.postgres.as_mut().context("there is no PostgreSQL")?.restart().await,
            Part::Origin => {
                self.origin =
                    Some(self.spillway("origin", &["serve", "--without-consumer", "--no-migrate"])?);
                Ok(())
            }
            Part::Consumer(number) => {
                self.consumers[number] = Some(self.spillway(NAMES[number], &["consume"])?);
                Ok(())
            }
        }
    }

    async fn start_engine(&mut self) -> Result<()> {
        let mut starts = 1;
        loop {
            match self.engine.restart().await {
                Err(error) if starts < ENGINE_STARTS => {
                    eprintln!("crash: clickhouse is started once more: {error:#}");
                    starts += 1;
                }
                ended => return ended,
            }
        }
    }

    /// Waits until the origin answers.
    pub async fn await_origin(&mut self) -> Result<()> {
        let (http, healthz) = (local_stack::http::client(), format!("{}/healthz", self.origin_url));
        let origin = self.origin.as_mut().context("the origin was never started")?;
        origin.ready(READY_TIMEOUT, async || http.get(&healthz).send().await.is_ok()).await
    }

    /// Whether ClickHouse is taking a batch.
    pub async fn is_inserting(&self) -> bool {
        let running = "SELECT count() FROM system.processes WHERE query_kind = 'Insert'";
        self.engine.client().query_raw(running).fetch_one::<u64>().await.is_ok_and(|inserts| inserts > 0)
    }

    /// How many rows are in ClickHouse, where it answers.
    pub async fn rows(&self) -> Option<u64> {
        self.engine.client().query_raw("SELECT count() FROM otel_traces").fetch_one().await.ok()
    }

    /// Objects that the ledger has not done with: those that wait and those in batches; and those that are dead.
    pub async fn depth(&self) -> Result<(u64, u64)> {
        let url = format!("{}/metrics", self.origin_url);
        let text = local_stack::http::client().get(url).send().await?.text().await?;
        let objects = |state: &str| {
            let name = format!("spillway_queue_objects{{state=\"{state}\"}} ");
            let value = text.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok());
            value.with_context(|| format!("the origin does not tell how many objects are {state}"))
        };
        Ok((objects("pending")? + objects("batched")?, objects("dead")?))
    }

    async fn migrate(&self) -> Result<()> {
        let mut migrate = self.spillway("migrate", &["migrate"])?;
        migrate.ready(READY_TIMEOUT, async || false).await.err();
        let status = migrate.ended()?.context("the migration goes on and on")?;
        ensure!(status.success(), "{}", migrate.obituary(status));
        Ok(())
    }

    fn spillway(&self, name: &'static str, arguments: &[&str]) -> Result<Process> {
        let mut command = Command::new(binary("origin-consumer")?);
        command.arg("--exit-on-stdin-eof").args(arguments).envs(&self.variables).current_dir(&self.folder);
        Process::start(name, command, &self.folder)
    }

    fn process(&mut self, part: Part) -> Option<&mut Process> {
        match part {
            Part::ClickHouse => self.engine.process(),
            Part::Postgres => self.postgres.as_mut().map(Postgres::process),
            Part::Origin => self.origin.as_mut(),
            Part::Consumer(number) => self.consumers.get_mut(number)?.as_mut(),
        }
    }
}

fn keys(tenants: u8) -> Result<Vec<Key>> {
    let much = json!({ "limits": { "requests": { "per_second": 100_000 } } });
    (b'a'..)
        .take(tenants.into())
        .map(|letter| Key::new(&format!("tenant-{}", char::from(letter)), &much))
        .collect()
}

fn s3() -> Result<S3Credentials> {
    let secret_access_key = random_secret()? + &random_secret()?;
    Ok(S3Credentials { access_key_id: random_secret()?, secret_access_key })
}

async fn start_edge(
    folder: &Path,
    keys: &[Key],
    s3: &S3Credentials,
    notify: &str,
    signing_key: &str,
) -> Result<Edge> {
    let vars = BTreeMap::from([
        ("NOTIFY_URL".to_owned(), format!("{notify}/v1/traces")),
        ("NOTIFY_SIGNING_KEY".to_owned(), signing_key.to_owned()),
    ]);
    let options = EdgeOptions {
        vars: &vars,
        keys,
        bucket: BUCKET,
        s3,
        notification_queue: None,
        metrics: false,
        services: &BTreeMap::new(),
        without: &[],
        outbound: None,
    };
    Edge::start(folder, free_port()?, options).await
}
