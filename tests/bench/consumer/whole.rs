//! The consumer itself, from the bucket into the real table.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use origin_consumer::consume::{Consumer, ConsumerConfig, Decoder};
use origin_consumer::metrics::Metrics;
use origin_consumer::objects::Objects;
use origin_consumer::queue::Queue;
use origin_consumer::telemetry::Telemetry;
use spillway_bench::cpu;
use spillway_bench::objects::Object;
use spillway_proto::UnixMillis;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::report::Turn;
use crate::rig::Rig;

const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Everything from the GET to the acknowledgement, and what ClickHouse takes until it has merged.
pub async fn measure(
    turn: &mut Turn<'_>,
    decoder: Decoder,
    objects: &[Object],
    batch_spans: usize,
    rig: &mut Rig,
) -> Result<()> {
    rig.execute("CREATE OR REPLACE TABLE measured AS otel_traces").await?;
    let queue = Arc::new(Queue::in_memory(0).await?);
    for object in objects {
        queue.enqueue(object.notification.clone(), UnixMillis(Ulid::generate().timestamp_ms())).await?;
    }
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
        rig.table("measured"),
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
    let stored: u64 = rig.client().query_raw("SELECT count() FROM measured").fetch_one().await?;
    let spans: u64 = objects.iter().map(|object| u64::from(object.notification.object_key.spans())).sum();
    ensure!(stored == spans, "{stored} of {spans} spans are stored");
    rig.drain_merges().await?;
    turn.add("ClickHouse, the real table, merges included", rig.engine_cpu()? - engine_before);
    rig.execute("DROP TABLE measured SYNC").await
}
