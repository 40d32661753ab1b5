//! All parts together.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clickhouse::Client;

use crate::edge::{Edge, EdgeOptions, NotificationQueue, S3Credentials, s3_endpoint};
use crate::engine::{Engine, Source};
use crate::keys::{Key, random_secret};
use crate::origin::Origin;
use crate::ports::{free_port, free_port_like};
use crate::tools::binary;

/// The bucket of the stack.
pub const BUCKET: &str = "spillway";
/// The tenant that Spillway's own spans belong to.
pub const OPERATOR: &str = "spillway-operator";

/// What a stack is made of.
pub struct StackOptions {
    /// Where its data and its logs lie.
    pub folder: PathBuf,
    /// Where ClickHouse comes from.
    pub source: Source,
    /// The database.
    pub database: String,
    /// The keys that the edge knows.
    pub keys: Vec<Key>,
    /// The key of [`OPERATOR`], where Spillway's own spans shall be stored as well.
    pub operator_key: Option<Key>,
    /// The edge's port, if it is free.
    pub edge_port: Option<u16>,
    /// Where the Worker's queue leads, if it has one.
    pub notification_queue: Option<NotificationQueue>,
    /// Further variables in the environment of ClickHouse, where it is started here.
    pub engine_vars: BTreeMap<String, String>,
    /// Further variables of the Worker.
    pub edge_vars: BTreeMap<String, String>,
    /// Further service bindings of the Worker, and the URLs of what stands behind them.
    pub edge_services: BTreeMap<String, String>,
    /// Where a simulator of the zone takes what the Worker fetches.
    pub edge_outbound: Option<String>,
    /// Further variables of the origin.
    pub origin_vars: BTreeMap<String, String>,
    /// Further arguments of the origin.
    pub origin_arguments: Vec<&'static str>,
    /// Whether to say what is being started.
    pub verbose: bool,
}

/// A running stack; all of it ends when it is dropped.
pub struct Stack {
    /// ClickHouse.
    pub engine: Engine,
    /// The Worker.
    pub edge: Edge,
    /// The origin and the consumer.
    pub origin: Origin,
    /// For R2's S3 interface.
    pub s3: S3Credentials,
    /// The secret that the edge signs notifications with.
    pub signing_key: String,
    folder: PathBuf,
    edge_port: u16,
    edge_vars: BTreeMap<String, String>,
    notification_queue: Option<NotificationQueue>,
    metrics: bool,
    edge_services: BTreeMap<String, String>,
    edge_outbound: Option<String>,
    keys: Vec<Key>,
    origin_port: u16,
    origin_vars: BTreeMap<String, String>,
}

impl Stack {
    /// Starts everything, and waits until it is ready.
    pub async fn start(options: StackOptions) -> Result<Self> {
        let say = |what: &str| {
            if options.verbose {
                eprintln!("run: {what}");
            }
        };
        fs::create_dir_all(&options.folder)?;
        let folder = options.folder.canonicalize()?;
        let edge_port = options.edge_port.map_or_else(free_port, free_port_like)?;
        let origin_port = free_port()?;
        let s3 = S3Credentials {
            access_key_id: random_secret()?,
            secret_access_key: random_secret()? + &random_secret()?,
        };
        let signing_key = random_secret()?;

        say(match options.source {
            Source::Url { .. } => "using the ClickHouse server of CLICKHOUSE_URL",
            Source::Binary(_) => "starting the machine's ClickHouse",
            Source::Embedded => "starting the embedded ClickHouse engine",
        });
        let engine =
            Engine::start_with(&options.source, &folder, &options.database, options.engine_vars).await?;

        say("starting the Worker in workerd");
        let mut edge_vars = BTreeMap::from([
            ("NOTIFY_URL".to_owned(), format!("http://127.0.0.1:{origin_port}/v1/traces")),
            ("NOTIFY_SIGNING_KEY".to_owned(), signing_key.clone()),
            // Flare's clients send it there, and nothing logs URLs here.
            ("ALLOW_KEY_IN_QUERY".to_owned(), "true".to_owned()),
        ]);
        edge_vars.extend(options.edge_vars);
        let keys: Vec<Key> = options.keys.into_iter().chain(options.operator_key.clone()).collect();
        let metrics = options.operator_key.is_some();
        let notification_queue = options.notification_queue;
        let edge_options = EdgeOptions {
            vars: &edge_vars,
            keys: &keys,
            bucket: BUCKET,
            s3: &s3,
            notification_queue: notification_queue.as_ref(),
            metrics,
            services: &options.edge_services,
            without: &[],
            outbound: options.edge_outbound.as_deref(),
        };
        let edge = Edge::start(&folder, edge_port, edge_options).await?;

        say("starting the origin and the consumer");
        let mut origin_vars = origin_variables(&folder, &engine, &edge, &s3, &signing_key);
        if let Some(key) = &options.operator_key {
            origin_vars.extend([
                ("SPILLWAY_TELEMETRY__ENDPOINT".to_owned(), format!("{}/v1/traces", edge.url)),
                ("SPILLWAY_TELEMETRY__API_KEY".to_owned(), key.secret.expose().to_owned()),
                ("SPILLWAY_TELEMETRY__OWN_TENANT".to_owned(), OPERATOR.to_owned()),
            ]);
        }
        origin_vars.extend(options.origin_vars);
        let mut origin = Origin::start(&folder, origin_port, &options.origin_arguments, &origin_vars).await?;
        origin.await_schema().await?;
        Ok(Self {
            engine,
            edge,
            origin,
            s3,
            signing_key,
            folder,
            edge_port,
            edge_vars,
            notification_queue,
            metrics,
            edge_services: options.edge_services,
            edge_outbound: options.edge_outbound,
            keys,
            origin_port,
            origin_vars,
        })
    }

    /// A client for the stack's database.
    pub fn clickhouse(&self) -> Client {
        self.engine.client()
    }

    /// What `origin-consumer keys` is configured with, as variables of its environment.
    pub fn keys_variables(&self) -> BTreeMap<String, String> {
        self.edge.keys_variables(&self.signing_key)
    }

    /// What the origin is configured with, as variables of its environment.
    pub fn origin_variables(&self) -> &BTreeMap<String, String> {
        &self.origin_vars
    }

    /// The folder of its data and logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends the edge, and starts it again on the same storage.
    pub async fn restart_edge(&mut self) -> Result<()> {
        self.edge.process.stop().await?;
        self.edge = Edge::start(&self.folder, self.edge_port, self.edge_options(&[])).await?;
        Ok(())
    }

    fn edge_options<'a>(&'a self, without: &'a [&'a str]) -> EdgeOptions<'a> {
        EdgeOptions {
            vars: &self.edge_vars,
            keys: &self.keys,
            bucket: BUCKET,
            s3: &self.s3,
            notification_queue: self.notification_queue.as_ref(),
            metrics: self.metrics,
            services: &self.edge_services,
            without,
            outbound: self.edge_outbound.as_deref(),
        }
    }

    /// A second edge with the same keys and variables and a storage of its own, in which `bindings` are missing.
    pub async fn edge_without(&self, bindings: &[&str]) -> Result<Edge> {
        let folder = self.folder.join(format!("edge-without-{}", bindings.join("-")));
        Edge::start(&folder, free_port()?, self.edge_options(bindings)).await
    }

    /// Sets a variable of the origin, from its next start on.
    pub fn set_origin_var(&mut self, name: &str, value: &str) {
        self.origin_vars.insert(name.to_owned(), value.to_owned());
    }

    /// Sets a variable of the Worker, from its next start on.
    pub fn set_edge_var(&mut self, name: &str, value: &str) {
        self.edge_vars.insert(name.to_owned(), value.to_owned());
    }

    /// `origin-consumer` with these arguments, configured as the origin is.
    pub fn origin_command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary("origin-consumer")?);
        command.args(arguments).current_dir(&self.folder).envs(&self.origin_vars);
        Ok(command)
    }

    /// Starts the origin again, after it was stopped or killed, with other arguments.
    pub async fn restart_origin(&mut self, arguments: &[&str]) -> Result<()> {
        self.origin = Origin::start(&self.folder, self.origin_port, arguments, &self.origin_vars).await?;
        Ok(())
    }

    /// Waits until `query`, whose one row holds one count, answers `expected`.
    pub async fn await_count(&self, query: &str, expected: u64, at_most: Duration) -> Result<()> {
        let deadline = Instant::now() + at_most;
        loop {
            let count = self.clickhouse().query_raw(query).fetch_one::<u64>().await;
            if matches!(count, Ok(count) if count == expected) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("after {at_most:?}, `{query}` answers {count:?} instead of {expected}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends all parts in their order, the consumer after what it has in hand.
    pub async fn stop(&mut self) -> Result<()> {
        self.edge.process.stop().await?;
        self.origin.process.stop().await?;
        if let Some(process) = self.engine.process() {
            let status = process.stop().await?;
            if !status.success() {
                bail!("the engine ended with {status}");
            }
        }
        Ok(())
    }

    /// Drops the stack's database: for tests on a server that others use.
    pub async fn drop_database(&self) -> Result<()> {
        let drop = format!("DROP DATABASE IF EXISTS {}", self.engine.database);
        self.engine.server().query_raw(&drop).execute().await.context("the database could not be dropped")
    }
}

fn origin_variables(
    folder: &Path,
    engine: &Engine,
    edge: &Edge,
    s3: &S3Credentials,
    signing_key: &str,
) -> BTreeMap<String, String> {
    let variables = [
        // Sooner than by default: what was stored while the origin was away is seen within seconds.
        ("SWEEP__GRACE_SECONDS", "2".to_owned()),
        ("SWEEP__INTERVAL_SECONDS", "5".to_owned()),
        // A consumer that was killed is soon replaced.
        ("CONSUMER__LEASE_SECONDS", "5".to_owned()),
        ("QUEUE__URL", format!("sqlite:{}", folder.join("queue.sqlite").display())),
        ("S3__ENDPOINT", s3_endpoint(&edge.url)),
        ("S3__BUCKET", BUCKET.to_owned()),
        ("S3__ACCESS_KEY_ID", s3.access_key_id.clone()),
        ("S3__SECRET_ACCESS_KEY", s3.secret_access_key.clone()),
        ("CLICKHOUSE__URL", engine.url.clone()),
        ("CLICKHOUSE__USER", engine.user.clone()),
        ("CLICKHOUSE__PASSWORD", engine.password.clone()),
        ("CLICKHOUSE__DATABASE", engine.database.clone()),
    ];
    let variables = variables.map(|(name, value)| (format!("SPILLWAY_{name}"), value));
    variables.into_iter().chain(edge.keys_variables(signing_key)).collect()
}
