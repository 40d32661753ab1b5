//! Rounds of turns.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use local_stack::http::client;
use local_stack::tools::checkout;
use reqwest::Client;
use serde::Serialize;
use spillway_bench::figures::{extremes, median};
use spillway_generator::payloads::{self, Payload};

use crate::load::{self, Request, Sent};
use crate::workerd::Workerd;

/// The time that the work after the last answer may take, such as its notification.
const SETTLE: Duration = Duration::from_millis(50);
/// How many turns a Worker has before the first one that counts: V8 compiles what is hot.
const WARM_UP_TURNS: u32 = 2;

/// How much is measured.
pub struct Plan {
    /// How often each Worker has its turn.
    pub rounds: usize,
    /// How long a turn takes.
    pub turn: Duration,
    /// Requests in flight.
    pub concurrency: usize,
    /// Parts of the names of the Workers that have turns; all have, where there are none.
    pub only: Vec<String>,
    /// Parts of the names of the payloads that are sent; all are, where there are none.
    pub payloads: Vec<String>,
    /// Another checkout, whose edge has turns too.
    pub beside: Option<PathBuf>,
}

/// A Worker that is compared: the constant in `workerd.capnp`, and what the tables call it.
#[derive(Clone, Copy)]
struct Contestant {
    config: &'static str,
    name: &'static str,
}

/// The floor of an edge that stores.
pub const STORES: &str = "JavaScript, streams the body into R2";

/// The first one is what the others are compared with; and so is [`STORES`].
const CONTESTANTS: [Contestant; 9] = [
    Contestant { config: "readBodyJs", name: "JavaScript, reads the body" },
    Contestant { config: "readBodyRust", name: "Rust, reads the body" },
    Contestant { config: "checkBodyRust", name: "Rust, reads and checks the body" },
    Contestant { config: "digestBodyRust", name: "Rust, reads the body and computes the object's id" },
    Contestant { config: "decodeBodyRust", name: "Rust, reads the body and decodes it by prost" },
    Contestant { config: "storeBodyJs", name: STORES },
    Contestant { config: "sameCallsJs", name: "JavaScript, the edge's calls without its checks" },
    Contestant { config: "edge", name: "edge-ingest" },
    Contestant { config: "edgeWithQuota", name: "edge-ingest, a key with a quota" },
];

/// The edge of another checkout.
const BESIDE: Contestant = Contestant { config: "edge", name: "edge-ingest, of the other checkout" };

/// A Worker calls another, in the way that the path names; the first does not.
const CALLS: [(&str, &str); 3] =
    [("/none", "no call"), ("/binding", "service binding"), ("/http", "HTTP over loopback")];

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
}

/// One turn's figures.
#[derive(Debug, Clone, Copy)]
struct Turn {
    cpu_us: f64,
    per_second: f64,
    latency_us: f64,
}

/// What one Worker did with one payload.
#[derive(Serialize)]
pub struct WorkerResult {
    /// The Worker.
    pub worker: &'static str,
    /// The payload.
    pub payload: &'static str,
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

/// What a call from Worker to Worker costs.
#[derive(Serialize)]
pub struct CallResult {
    /// How it goes.
    pub call: &'static str,
    /// Requests in flight.
    pub concurrency: usize,
    /// CPU of the whole process for a request, both Workers included, in microseconds.
    pub cpu_us: Spread,
    /// The median latency of a request, in microseconds.
    pub latency_us: Spread,
    /// Above a request without a call, in the same round.
    pub cpu_above_none_us: Spread,
    /// Above a request without a call, in the same round.
    pub latency_above_none_us: Spread,
}

/// Sends the payloads to the Workers, as planned.
pub async fn workers(plan: &Plan, folder: &Path) -> Result<Vec<WorkerResult>> {
    let mut payloads = payloads::all()?;
    payloads.retain(|payload| is_chosen(payload.name, &plan.payloads));
    let this = checkout();
    let own = CONTESTANTS.iter().map(|contestant| (contestant, this));
    let other = plan.beside.iter().map(|other| (&BESIDE, other.as_path()));
    let chosen: Vec<_> =
        own.chain(other).filter(|(contestant, _)| is_chosen(contestant.name, &plan.only)).collect();
    let mut targets = Vec::new();
    for (contestant, checkout) in &chosen {
        let files = folder.join(contestant.name);
        fs::create_dir_all(&files)?;
        targets.push(Target::start(contestant.config, checkout, &files).await?);
    }
    let storing = chosen.iter().position(|(contestant, _)| contestant.name == STORES);
    let mut turns = vec![vec![Vec::new(); chosen.len()]; payloads.len()];
    for round in 0..=plan.rounds {
        announce(round, plan.rounds, "payloads");
        for (payload, turns) in payloads.iter().zip(&mut turns) {
            for n in 0..chosen.len() {
                // Another one begins in each round.
                let n = (n + round) % chosen.len();
                let request = export(&targets[n], payload);
                match round {
                    0 => targets[n].warm_up(&request, plan).await?,
                    _ => turns[n].push(targets[n].turn(&request, plan.concurrency, plan.turn).await?),
                }
            }
        }
    }
    for target in &targets {
        target.workerd.logged_no_error()?;
    }
    let mut results = Vec::new();
    for (payload, turns) in payloads.iter().zip(&turns) {
        for ((contestant, _), own) in chosen.iter().zip(turns) {
            let ratio = |to: usize| {
                Spread::of(own.iter().zip(&turns[to]).map(|(own, other)| own.cpu_us / other.cpu_us))
            };
            results.push(WorkerResult {
                worker: contestant.name,
                payload: payload.name,
                spans: payload.spans,
                body_bytes: payload.bytes(),
                cpu_us: Spread::of(own.iter().map(|turn| turn.cpu_us)),
                ratio: ratio(0),
                ratio_to_storing: storing.map(ratio),
                requests_per_second: Spread::of(own.iter().map(|turn| turn.per_second)),
            });
        }
    }
    Ok(results)
}

fn is_chosen(name: &str, parts: &[String]) -> bool {
    parts.is_empty() || parts.iter().any(|part| name.contains(part))
}

/// Measures calls from Worker to Worker: one at a time, and as many as the plan says.
pub async fn calls(plan: &Plan, folder: &Path) -> Result<Vec<CallResult>> {
    let target = Target::start("calls", checkout(), folder).await?;
    let mut results = Vec::new();
    for concurrency in [1, plan.concurrency] {
        let mut turns = vec![Vec::new(); CALLS.len()];
        for round in 0..=plan.rounds {
            announce(round, plan.rounds, "calls");
            for n in 0..CALLS.len() {
                let n = (n + round) % CALLS.len();
                let url = format!("{}{}", target.workerd.url, CALLS[n].0);
                let request = Request { url, gzip: false, bodies: vec![bytes::Bytes::new()] };
                match round {
                    0 => target.warm_up(&request, plan).await?,
                    _ => turns[n].push(target.turn(&request, concurrency, plan.turn).await?),
                }
            }
        }
        for ((_, call), own) in CALLS.iter().zip(&turns) {
            let above = |figure: fn(&Turn) -> f64| {
                Spread::of(own.iter().zip(&turns[0]).map(|(own, none)| figure(own) - figure(none)))
            };
            results.push(CallResult {
                call,
                concurrency,
                cpu_us: Spread::of(own.iter().map(|turn| turn.cpu_us)),
                latency_us: Spread::of(own.iter().map(|turn| turn.latency_us)),
                cpu_above_none_us: above(|turn| turn.cpu_us),
                latency_above_none_us: above(|turn| turn.latency_us),
            });
        }
    }
    Ok(results)
}

fn export(target: &Target, payload: &Payload) -> Request {
    let url = format!("{}/v1/traces", target.workerd.url);
    Request { url, gzip: payload.gzip, bodies: payload.bodies.clone() }
}

fn announce(round: usize, rounds: usize, what: &str) {
    match round {
        0 => eprintln!("bench-edge: {what}: warming up"),
        _ => eprintln!("bench-edge: {what}: round {round} of {rounds}"),
    }
}

/// A process and the connections to it.
struct Target {
    workerd: Workerd,
    client: Client,
}

impl Target {
    async fn start(config: &'static str, checkout: &Path, folder: &Path) -> Result<Self> {
        Ok(Self { workerd: Workerd::start(config, checkout, folder).await?, client: client() })
    }

    async fn warm_up(&self, request: &Request, plan: &Plan) -> Result<()> {
        load::send(&self.client, request, plan.concurrency, plan.turn * WARM_UP_TURNS).await.map(drop)
    }

    async fn turn(&self, request: &Request, concurrency: usize, at_least: Duration) -> Result<Turn> {
        tokio::time::sleep(SETTLE).await;
        let before = self.workerd.cpu()?;
        let sent = load::send(&self.client, request, concurrency, at_least).await?;
        tokio::time::sleep(SETTLE).await;
        Ok(Turn::new(self.workerd.cpu()?.saturating_sub(before), &sent))
    }
}

impl Turn {
    fn new(cpu: Duration, sent: &Sent) -> Self {
        let requests = sent.requests() as f64;
        Self {
            cpu_us: cpu.as_secs_f64() * 1e6 / requests,
            per_second: requests / sent.took.as_secs_f64(),
            latency_us: sent.latencies[sent.requests() / 2].as_secs_f64() * 1e6,
        }
    }
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
