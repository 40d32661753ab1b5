//! Runs the origin, the consumer, or both, until the process is asked to end.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::consume::Consumer;
use crate::fetch::Objects;
use crate::http::{Origin, router};
use crate::insert::SpanTable;
use crate::metrics::Metrics;
use crate::queue::{Queue, QueueError};
use crate::sweep::Sweep;
use crate::telemetry::Telemetry;

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
    /// The exporter of the own spans.
    #[error("cannot export spans (telemetry): {0}")]
    Telemetry(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Runs what is asked for, until `stop`; then takes nothing new, and ends what is in hand.
pub async fn serve(
    config: &Config,
    with_origin: bool,
    with_consumer: bool,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let queue_failed = |source| ServeError::Queue { path: config.queue.path.display().to_string(), source };
    let queue = Arc::new(Queue::open(&config.queue).map_err(queue_failed)?);
    let metrics = Arc::new(Metrics::default());
    let (telemetry, telemetry_task) = Telemetry::start(&config.telemetry, &metrics)?;
    let table = SpanTable::new(&config.clickhouse, config.consumer.insert_timeout());

    let objects = Objects::new(&config.s3);
    let consumer = with_consumer.then(|| {
        let consumer = Arc::new(Consumer {
            config: config.consumer.clone(),
            queue: Arc::clone(&queue),
            objects: objects.clone(),
            table: table.clone(),
            metrics: Arc::clone(&metrics),
            telemetry: telemetry.clone(),
        });
        tracing::info!(workers = config.consumer.workers, "the consumer works");
        tokio::spawn(consumer.run(stop.clone()))
    });
    if with_origin {
        // It stands in for notifications, so it runs where they are taken.
        let sweep = Sweep {
            config: config.sweep.clone(),
            queue: Arc::clone(&queue),
            objects,
            metrics: Arc::clone(&metrics),
        };
        tokio::spawn(sweep.run(stop.clone()));
        let origin = Origin { queue, notify: config.notify.clone(), metrics, telemetry, table };
        listen(config.http.listen, origin, stop.clone()).await?;
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

async fn listen(
    address: std::net::SocketAddr,
    origin: Origin,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    tracing::info!(address = %bound, "the origin listens");
    let server = axum::serve(listener, router(Arc::new(origin)));
    server.with_graceful_shutdown(stop.cancelled_owned()).await.map_err(failed)
}
