//! Runs the origin, the consumer, or both, until the process is asked to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clickhouse::ClickHouseConfig;
use crate::config::Config;
use crate::consume::Consumer;
use crate::fetch::Objects;
use crate::http::{Origin, router};
use crate::insert::SpanTable;
use crate::intake::Intake;
use crate::metrics::Metrics;
use crate::migrate::migrate;
use crate::queue::{Queue, QueueError};
use crate::queue_pull::QueuePull;
use crate::sweep::Sweep;
use crate::telemetry::Telemetry;
use crate::time::backoff;

/// How long clients may keep their connections after the origin was asked to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Something that is needed from the start could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The queue's file.
    #[error("cannot open the queue {path} (queue.path): {source}")]
    Queue {
        /// Its path.
        path: String,
        /// Why.
        source: QueueError,
    },
    /// The address.
    #[error("cannot listen on {address} (http.listen): {source}")]
    Listen {
        /// Which.
        address: std::net::SocketAddr,
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
    let queue_failed = |source| ServeError::Queue { path: config.queue.path.display().to_string(), source };
    let queue = Arc::new(Queue::open(&config.queue).map_err(queue_failed)?);
    let metrics = Arc::new(Metrics::default());
    let (telemetry, telemetry_task) = Telemetry::start(&config.telemetry, &metrics)?;
    let table = SpanTable::new(&config.clickhouse, config.consumer.insert_timeout());

    let objects = Objects::new(&config.s3);
    // Without a migration the schema is taken to be there.
    let schema_ready = Arc::new(AtomicBool::new(!parts.migrate));
    let migration = Migration { config: config.clickhouse.clone(), done: Arc::clone(&schema_ready) };
    let migrated = tokio::spawn(migration.run(stop.clone()));
    let consumer = parts.consumer.then(|| {
        let consumer = Arc::new(Consumer {
            config: config.consumer.clone(),
            queue: Arc::clone(&queue),
            objects: objects.clone(),
            table: table.clone(),
            metrics: Arc::clone(&metrics),
            telemetry: telemetry.clone(),
        });
        let stop = stop.clone();
        tokio::spawn(async move {
            if matches!(migrated.await, Ok(true)) {
                tracing::info!(workers = consumer.config.workers, "the consumer works");
                consumer.run(stop).await;
            }
        })
    });
    if parts.origin {
        // It stands in for notifications, so it runs where they are taken.
        let sweep = Sweep {
            config: config.sweep.clone(),
            queue: Arc::clone(&queue),
            objects,
            metrics: Arc::clone(&metrics),
        };
        tokio::spawn(sweep.run(stop.clone()));
        let intake = Arc::new(Intake { notify: config.notify.clone(), queue, telemetry });
        let pull = QueuePull::new(&config.queue_pull, &config.cloudflare, &intake, &metrics)
            .map_err(ServeError::QueuePull)?;
        let pulling = pull.map(|pull| tokio::spawn(pull.run(stop.clone())));
        let origin = Origin { intake, metrics, table, schema_ready };
        listen(config.http.listen, origin, stop.clone()).await?;
        if let Some(pulling) = pulling {
            // As with the consumer: a panic has been logged.
            let _ = pulling.await;
        }
    } else {
        drop(telemetry);
        stop.cancelled().await;
    }
    if let Some(consumer) = consumer {
        // A panic of a worker has been logged by its own; there is nothing left to do for it here.
        let _ = consumer.await;
    }
    let _ = telemetry_task.await;
    Ok(())
}

/// Brings the database to this version's schema, however long that takes.
struct Migration {
    config: ClickHouseConfig,
    done: Arc<AtomicBool>,
}

impl Migration {
    /// Returns whether the schema is there; it is not where `stop` came before.
    async fn run(self, stop: CancellationToken) -> bool {
        let mut failures = 0;
        while !self.done.load(Ordering::Relaxed) {
            match migrate(&self.config).await {
                Ok(applied) => {
                    tracing::info!(?applied, database = self.config.database, "the schema is up to date");
                    self.done.store(true, Ordering::Relaxed);
                }
                Err(error) => {
                    let wait = backoff(failures);
                    failures += 1;
                    tracing::error!(%error, url = self.config.url, retry_in = ?wait, "the database cannot be migrated");
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = stop.cancelled() => return false,
                    }
                }
            }
        }
        true
    }
}

async fn listen(
    address: std::net::SocketAddr,
    origin: Origin,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    tracing::info!(address = %bound, "the origin listens");
    let server = axum::serve(listener, router(Arc::new(origin)))
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = server => served.map_err(failed),
        () = async { stop.cancelled().await; tokio::time::sleep(CLOSE_TIMEOUT).await } => {
            tracing::warn!("connections were left open by their clients");
            Ok(())
        }
    }
}
