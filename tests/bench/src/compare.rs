//! What the turns say.

use serde::Serialize;
use spillway_bench::figures::{extremes, median};
use spillway_generator::order::Order;
use spillway_generator::payloads::Payload;

use crate::contestants::{BESIDE, DIGESTS, EDGE, READS, STORES};
use crate::measure::{Plan, Turn, Turns};

/// A median over the rounds, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// In the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// Of at least one number.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let numbers: Vec<_> = numbers.into_iter().collect();
        let (min, max) = extremes(&numbers);
        Self { median: median(&numbers), min, max }
    }

    fn of_cpu(turns: &[Turn]) -> Self {
        Self::of(turns.iter().map(|turn| turn.cpu_us))
    }

    /// Of the CPU time of `turns`, divided by that of `others` in the same round.
    fn of_ratio(turns: &[Turn], others: &[Turn]) -> Self {
        Self::of(turns.iter().zip(others).map(|(turn, other)| turn.cpu_us / other.cpu_us))
    }
}

/// All that the turns of Workers with payloads say.
#[derive(Serialize)]
pub struct Compared {
    pub workers: Vec<WorkerResult>,
    pub orders: Vec<OrderResult>,
    pub digest: Option<DigestResult>,
    pub beside: Vec<BesideResult>,
}

/// What one Worker did with one payload.
#[derive(Serialize)]
pub struct WorkerResult {
    /// The Worker.
    pub worker: &'static str,
    /// The payload.
    pub payload: &'static str,
    /// The order of its fields.
    pub order: Order,
    /// Spans in a request.
    pub spans: usize,
    /// The size of a request's body.
    pub body_bytes: usize,
    /// CPU of the whole process for a request, in microseconds.
    pub cpu_us: Spread,
    /// The same, divided by that of the first Worker in the same round.
    pub ratio: Spread,
    /// The same, divided by that of the Worker which streams the body into R2; none where that one has no turns.
    pub ratio_to_storing: Option<Spread>,
    /// Requests answered in a second.
    pub requests_per_second: Spread,
}

/// What one Worker did with the same requests in both orders of fields.
#[derive(Serialize)]
pub struct OrderResult {
    /// The Worker.
    pub worker: &'static str,
    /// The payload in ascending order.
    pub payload: &'static str,
    /// CPU of the whole process for a request, in microseconds.
    pub ascending_us: Spread,
    /// The same in descending order.
    pub descending_us: Spread,
    /// The second divided by the first, in the same round.
    pub ratio: Spread,
}

/// What the digest of a request costs by which it is known when it is sent again.
#[derive(Serialize)]
pub struct DigestResult {
    /// The payload.
    pub payload: &'static str,
    /// The size of a request's body, which is not compressed.
    pub body_bytes: usize,
    /// CPU of a Worker that only reads the body, in microseconds a request.
    pub reads_us: Spread,
    /// CPU of one that computes the digest as well.
    pub digests_us: Spread,
    /// The difference in the same round, in microseconds for 10^6 bytes of the body.
    pub us_a_megabyte: Spread,
}

/// The edge beside that of another checkout.
#[derive(Serialize)]
pub struct BesideResult {
    /// The payload.
    pub payload: &'static str,
    /// CPU of the whole process for a request, in microseconds.
    pub this_us: Spread,
    /// That of the other edge.
    pub other_us: Spread,
    /// The first divided by the second, in the same round.
    pub ratio: Spread,
    /// The digest of such a request, decompressed, in microseconds, by the median of [`DigestResult::us_a_megabyte`].
    pub digest_us: Option<f64>,
    /// The ratio, where that is taken from the first before.
    pub ratio_without_digest: Option<Spread>,
}

impl Compared {
    /// Compares the turns.
    pub fn of(turns: &Turns, plan: &Plan) -> Self {
        let digest = digest(turns);
        let order = plan.order.unwrap_or_default();
        let usual = turns.payloads.iter().filter(|payload| payload.order == order);
        Self {
            workers: usual.flat_map(|payload| workers(turns, payload)).collect(),
            orders: orders(turns),
            beside: beside(turns, digest.as_ref()),
            digest,
        }
    }
}

fn workers(turns: &Turns, payload: &Payload) -> Vec<WorkerResult> {
    let of_payload = turns.of_payload(payload);
    let storing = of_payload.iter().find(|(worker, _)| *worker == STORES).map(|(_, storing)| *storing);
    let Some((_, first)) = of_payload.first() else { return Vec::new() };
    let result = |(worker, own): &(&'static str, &[Turn])| WorkerResult {
        worker,
        payload: payload.name,
        order: payload.order,
        spans: payload.spans,
        body_bytes: payload.bytes(),
        cpu_us: Spread::of_cpu(own),
        ratio: Spread::of_ratio(own, first),
        ratio_to_storing: storing.map(|storing| Spread::of_ratio(own, storing)),
        requests_per_second: Spread::of(own.iter().map(|turn| turn.per_second)),
    };
    of_payload.iter().map(result).collect()
}

/// Of the payloads that there are in both orders.
fn orders(turns: &Turns) -> Vec<OrderResult> {
    let of_order = |order| turns.payloads.iter().filter(move |payload| payload.order == order);
    let mut results = Vec::new();
    for descending in of_order(Order::Descending) {
        let is_same = |other: &&Payload| other.spans == descending.spans && other.gzip == descending.gzip;
        let Some(ascending) = of_order(Order::Ascending).find(is_same) else { continue };
        for (worker, own) in turns.of_payload(descending) {
            if let Some(in_ascending) = turns.of(worker, ascending) {
                results.push(OrderResult {
                    worker,
                    payload: ascending.name,
                    ascending_us: Spread::of_cpu(in_ascending),
                    descending_us: Spread::of_cpu(own),
                    ratio: Spread::of_ratio(own, in_ascending),
                });
            }
        }
    }
    results
}

fn digest(turns: &Turns) -> Option<DigestResult> {
    let both = |payload| Some((turns.of(READS, payload)?, turns.of(DIGESTS, payload)?));
    let of_payload = |payload| Some((payload, both(payload)?));
    let (payload, (reads, digests)) = turns.payloads.iter().find_map(of_payload)?;
    let megabytes = payload.plain_bytes as f64 / 1e6;
    let above = digests.iter().zip(reads).map(|(digests, reads)| (digests.cpu_us - reads.cpu_us) / megabytes);
    Some(DigestResult {
        payload: payload.name,
        body_bytes: payload.plain_bytes,
        reads_us: Spread::of_cpu(reads),
        digests_us: Spread::of_cpu(digests),
        us_a_megabyte: Spread::of(above),
    })
}

fn beside(turns: &Turns, digest: Option<&DigestResult>) -> Vec<BesideResult> {
    let result = |payload: &Payload| {
        let (own, other) = (turns.of(EDGE, payload)?, turns.of(BESIDE.name, payload)?);
        let digest_us = digest.map(|digest| digest.us_a_megabyte.median * payload.plain_bytes as f64 / 1e6);
        let without = |digest_us: f64| {
            Spread::of(own.iter().zip(other).map(|(own, other)| (own.cpu_us - digest_us) / other.cpu_us))
        };
        Some(BesideResult {
            payload: payload.name,
            this_us: Spread::of_cpu(own),
            other_us: Spread::of_cpu(other),
            ratio: Spread::of_ratio(own, other),
            digest_us,
            ratio_without_digest: digest_us.map(without),
        })
    };
    turns.payloads.iter().filter_map(result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).median, 2.5);
    }
}
