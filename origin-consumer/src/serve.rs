//! Runs the origin, the consumer, or both, until the process is asked to end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::clickhouse::ClickHouseConfig;
use crate::config::Config;
use crate::consume::Consumer;
use crate::dead_letters::DeadLetters;
use crate::http::{Monitor, Origin, monitor as monitor_paths, origin as origin_paths};
use crate::insert::{SchemaError, SpanTable};
use crate::intake::Intake;
use crate::meter::{Arrivals, Watch};
use crate::metrics::Metrics;
use crate::migrate::{MigrateError, migrate};
use crate::objects::{Bucket, Objects};
use crate::queue::{Queue, QueueConfig, QueueError};
use crate::queue_pull::QueuePull;
use crate::route::{Canaries, Routes};
use crate::sweep::Sweep;
use crate::telemetry::Telemetry;
use crate::time::backoff;

/// How long clients may keep their connections after the origin was asked to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Something that is needed from the start could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The queue's file or database.
    #[error("cannot open the queue {place} (queue.url): {source}")]
    Queue {
        /// Its file, or its server and database.
        place: String,
        /// Why.
        source: QueueError,
    },
    /// There is none where one is to be.
    #[error("queue.url must be that of `serve`, and there is no queue at {place}")]
    NoQueue {
        /// Where there is none.
        place: String,
    },
    /// The address.
    #[error("cannot listen on {address} ({field}): {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Where it is configured.
        field: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The client of Cloudflare's API.
    #[error("cannot pull from the Cloudflare Queue (queue_pull): {0}")]
    QueuePull(#[source] reqwest::Error),
    /// The exporter of the own spans.
    #[error("cannot export spans (telemetry): {0}")]
    Telemetry(#[from] opentelemetry_otlp::ExporterBuildError),
}

impl ServeError {
    /// 2 where the configuration is wrong, else 1.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Self::NoQueue { .. }) { 2 } else { 1 }
    }
}

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    /// The origin, with its sweep and its pulls from a Cloudflare Queue.
    pub origin: bool,
    /// The consumer.
    pub consumer: bool,
    /// Bring the database to this version's schema before the consumer begins.
    pub migrate: bool,
}

/// Runs `parts` until `stop`; then takes nothing new, and ends what is in hand. The origin takes notifications at once:
/// while ClickHouse is away, the queue fills.
pub async fn serve(config: &Config, parts: Parts, stop: CancellationToken) -> Result<(), ServeError> {
    let queue = Arc::new(open_queue(&config.queue).await?);
    let metrics = Arc::new(Metrics::default());
    let (telemetry, telemetry_task) = Telemetry::start(&config.telemetry, &metrics)?;
    // An origin alone takes the schema to be there.
    let schema_ready = Arc::new(AtomicBool::new(!parts.migrate && !parts.consumer));
    let shared = Shared {
        table: SpanTable::new(&config.clickhouse, config.consumer.insert_timeout()),
        objects: Objects::new(&config.s3).decompressing_to(config.consumer.max_decompressed_bytes),
        queue,
        metrics,
        telemetry,
    };
    let monitor = Monitor {
        queue: Arc::clone(&shared.queue),
        metrics: Arc::clone(&shared.metrics),
        table: shared.table.clone(),
        schema_ready: Arc::clone(&schema_ready),
        grace: config.sweep.grace(),
    };
    let schema = Schema {
        config: config.clickhouse.clone(),
        migrate: parts.migrate,
        table: parts.consumer.then(|| shared.table.clone()),
        ready: schema_ready,
    };
    let schema_ready = tokio::spawn(schema.prepare(stop.clone()));
    let mut tasks = JoinSet::new();
    if parts.consumer {
        shared.start_consumer(config, schema_ready, &mut tasks, &stop);
    }
    let paths = monitor_paths(Arc::new(monitor));
    if parts.origin {
        let origin = shared.start_origin(config, &mut tasks, &stop)?;
        let paths = paths.merge(origin_paths(origin, &config.http));
        listen(config.http.listen, paths, "http.listen", stop.clone()).await?;
    } else if let Some(address) = config.consumer.listen {
        drop(shared);
        listen(address, paths, "consumer.listen", stop.clone()).await?;
    } else {
        drop(shared);
        stop.cancelled().await;
    }
    // A panic has been logged by its own; there is nothing left to do for it here.
    while tasks.join_next().await.is_some() {}
    let _ = telemetry_task.await;
    Ok(())
}

/// Opens the queue, and makes it where there is none.
async fn open_queue(config: &QueueConfig) -> Result<Queue, ServeError> {
    Queue::open(config).await.map_err(|source| ServeError::Queue { place: config.shown(), source })
}

/// Opens the queue of a service, for commands: where there is none, they have been told of the wrong one, and a new one beside
/// it would know nothing of what the service has in hand.
pub async fn open_queue_of_service(config: &QueueConfig) -> Result<Queue, ServeError> {
    if config.is_missing_file() {
        return Err(ServeError::NoQueue { place: config.shown() });
    }
    open_queue(config).await
}

/// What the parts share.
struct Shared {
    queue: Arc<Queue>,
    objects: Objects,
    table: SpanTable,
    metrics: Arc<Metrics>,
    telemetry: Telemetry,
}

impl Shared {
    /// The consumer, and what looks after its work.
    fn start_consumer(
        &self,
        config: &Config,
        schema_ready: JoinHandle<bool>,
        tasks: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        let consumer = Arc::new(Consumer::new(
            config.consumer.clone(),
            Arc::clone(&self.queue),
            self.objects.clone(),
            self.table.clone(),
            Arc::clone(&self.metrics),
            self.telemetry.clone(),
        ));
        let bucket = Bucket::new(&config.s3);
        let audit = Audit::new(
            config.audit.clone(),
            Arc::clone(&self.queue),
            self.table.clone(),
            bucket.clone(),
            Arc::clone(&self.metrics),
        );
        tasks.spawn(DeadLetters::new(Arc::clone(&self.queue), bucket).run(stop.clone()));
        let (workers, stop) = (config.consumer.workers, stop.clone());
        tasks.spawn(async move {
            if matches!(schema_ready.await, Ok(true)) {
                tracing::info!(workers, "the consumer works");
                tokio::join!(consumer.run(stop.clone()), audit.run(stop));
            }
        });
    }

    /// What brings notifications, and what stands in for them: it runs where they are taken.
    fn start_origin(
        self,
        config: &Config,
        tasks: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Result<Arc<Origin>, ServeError> {
        let Self { queue, objects, metrics, telemetry, .. } = self;
        let sweep = Sweep::new(config.sweep.clone(), Arc::clone(&queue), objects, Arc::clone(&metrics));
        tasks.spawn(sweep.run(stop.clone()));
        let grace = config.sweep.grace();
        let (routes, canaries) = (Arc::<Routes>::default(), Arc::<Canaries>::default());
        let arrivals = Arrivals {
            metrics: Arc::clone(&metrics),
            routes: Arc::clone(&routes),
            canaries: Arc::clone(&canaries),
        };
        let watch = Watch::new(Arc::clone(&queue), arrivals, grace);
        tasks.spawn(watch.run(stop.clone()));
        let intake = Arc::new(Intake { notify: config.notify.clone(), queue, telemetry, routes, canaries });
        let pull = QueuePull::new(&config.queue_pull, &config.cloudflare, &intake, &metrics)
            .map_err(ServeError::QueuePull)?;
        if let Some(pull) = pull {
            tasks.spawn(pull.run(stop.clone()));
        }
        Ok(Arc::new(Origin { intake, metrics }))
    }
}

/// The database's schema, and what is to be done for it before the consumer begins.
struct Schema {
    config: ClickHouseConfig,
    migrate: bool,
    /// The table that the consumer writes to.
    table: Option<SpanTable>,
    ready: Arc<AtomicBool>,
}

/// The schema is not there, or is another one.
#[derive(Debug, thiserror::Error)]
enum NotReady {
    #[error("the database cannot be migrated: {0}")]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl Schema {
    /// Brings the database to this version's schema, and looks whether the table is what is written, however long that takes:
    /// someone may be about to mend it. Returns whether all is there; it is not where `stop` came before.
    async fn prepare(self, stop: CancellationToken) -> bool {
        let mut failures = 0;
        while let Err(error) = self.try_once().await {
            let wait = backoff(failures);
            failures += 1;
            tracing::error!(%error, url = self.config.url, retry_in = ?wait, "nothing can be stored yet");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return false,
            }
        }
        self.ready.store(true, Ordering::Relaxed);
        true
    }

    async fn try_once(&self) -> Result<(), NotReady> {
        if self.migrate {
            let applied = migrate(&self.config).await?;
            tracing::info!(?applied, database = self.config.database, "the schema is up to date");
        }
        match &self.table {
            Some(table) => {
                table.check().await?;
                // It works with either layout; that it cannot be asked is no reason to wait.
                if let Err(error) = table.warn_of_layout().await {
                    tracing::warn!(%error, "the layout of the table cannot be read");
                }
                Ok(())
            }
            None => Ok(()),
        }
    }
}

async fn listen(
    address: SocketAddr,
    paths: Router,
    field: &'static str,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let failed = |source| ServeError::Listen { address, field, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    tracing::info!(address = %bound, "listening");
    let server = axum::serve(listener, paths).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = server => served.map_err(failed),
        () = async { stop.cancelled().await; tokio::time::sleep(CLOSE_TIMEOUT).await } => {
            tracing::warn!("connections were left open by their clients");
            Ok(())
        }
    }
}
