//! The consumer itself, from the bucket into the real table.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use origin_consumer::consume::{Consumer, ConsumerConfig, Decoder};
use origin_consumer::metrics::Metrics;
use origin_consumer::objects::Objects;
use origin_consumer::telemetry::Telemetry;
use spillway_bench::ledgers::Ledgers;
use spillway_bench::rig::Rig;
use spillway_bench::{cpu, workload};
use spillway_generator::objects::Object;
use tokio_util::sync::CancellationToken;

use crate::report::Turn;

const DATABASE: &str = "measured";
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Everything from the GET to the acknowledgement, and what ClickHouse takes until it has merged.
pub async fn measure(
    turn: &mut Turn<'_>,
    decoder: Decoder,
    objects: &[Object],
    batch_spans: usize,
    ledgers: &mut Ledgers,
    rig: &mut Rig,
) -> Result<()> {
    rig.make_database(DATABASE).await?;
    let queue = Arc::new(ledgers.next(objects).await?.queue);
    let config = ConsumerConfig {
        decoder,
        batch_spans: batch_spans as u64,
        batch_delay_ms: 0, // The last one is not full.
        ..ConsumerConfig::default()
    };
    let consumer = Arc::new(Consumer::new(
        config,
        Arc::clone(&queue),
        Objects::new(&rig.s3),
        rig.table(DATABASE, "otel_traces"),
        Arc::new(Metrics::default()),
        Telemetry::default(),
    ));
    let (engine_before, before) = (rig.engine_cpu()?, cpu::of_this_process());
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));
    loop {
        let depth = queue.depth().await?;
        ensure!(depth.dead == 0, "{} objects are dead", depth.dead);
        if depth.pending + depth.batched == 0 {
            break;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    stop.cancel();
    running.await?;
    turn.add("the whole consumer, from GET to acknowledgement", cpu::of_this_process() - before);
    let stored = rig.number(DATABASE, "SELECT count() FROM otel_traces").await?;
    let spans = workload::spans(objects);
    ensure!(stored == spans, "{stored} of {spans} spans are stored");
    rig.drain_merges().await?;
    turn.add("ClickHouse, the real table, merges included", rig.engine_cpu()? - engine_before);
    rig.drop_database(DATABASE).await
}
