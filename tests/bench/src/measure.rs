//! Rounds of turns.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use local_stack::http::client;
use reqwest::Client;
use serde::Serialize;
use spillway_generator::order::Order;
use spillway_generator::payloads::Payload;

use crate::compare::Spread;
use crate::contestants::{self, Contestant};
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
    /// The order of all payloads' fields.
    pub order: Option<Order>,
}

impl Plan {
    /// Whether this Worker is chosen.
    pub fn has_worker(&self, name: &str) -> bool {
        is_chosen(name, &self.only)
    }

    /// Whether this payload is chosen.
    pub fn has_payload(&self, name: &str) -> bool {
        is_chosen(name, &self.payloads)
    }
}

fn is_chosen(name: &str, parts: &[String]) -> bool {
    parts.is_empty() || parts.iter().any(|part| name.contains(part))
}

/// A Worker calls another, in the way that the path names; the first does not.
const CALLS: [(&str, &str); 3] =
    [("/none", "no call"), ("/binding", "service binding"), ("/http", "HTTP over loopback")];

/// One turn's figures.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    pub cpu_us: f64,
    pub per_second: f64,
    latency_us: f64,
}

/// The turns of all Workers.
pub struct Turns {
    pub payloads: Vec<Payload>,
    contestants: Vec<Contestant>,
    /// By payload and by Worker, one a round; none where a Worker does not get the payload.
    turns: Vec<Vec<Vec<Turn>>>,
}

impl Turns {
    /// The Workers that got a payload, and their turns with it.
    pub fn of_payload(&self, payload: &Payload) -> Vec<(&'static str, &[Turn])> {
        let at = self.payloads.iter().position(|known| known.name == payload.name);
        let turns = at.map_or(&[][..], |at| &self.turns[at]);
        let all = self.contestants.iter().zip(turns);
        all.filter(|(_, turns)| !turns.is_empty())
            .map(|(contestant, turns)| (contestant.name, turns.as_slice()))
            .collect()
    }

    /// The turns of a Worker with a payload, if it got that.
    pub fn of(&self, worker: &str, payload: &Payload) -> Option<&[Turn]> {
        self.of_payload(payload).into_iter().find(|(name, _)| *name == worker).map(|(_, turns)| turns)
    }
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
pub async fn workers(plan: &Plan, folder: &Path) -> Result<Turns> {
    let mut payloads = contestants::payloads(plan)?;
    let own = contestants::ALL.iter().map(|contestant| (*contestant, None));
    let other = plan.beside.iter().map(|other| (contestants::BESIDE, Some(other.as_path())));
    let (mut contestants, mut targets) = (Vec::new(), Vec::new());
    for (contestant, other) in own.chain(other) {
        if payloads.iter().any(|payload| contestant.gets(payload, plan)) {
            let files = folder.join(contestant.name);
            fs::create_dir_all(&files)?;
            targets.push(Target::start(contestant.config, other, &files).await?);
            contestants.push(contestant);
        }
    }
    payloads.retain(|payload| contestants.iter().any(|contestant| contestant.gets(payload, plan)));
    let mut turns = vec![vec![Vec::new(); contestants.len()]; payloads.len()];
    for round in 0..=plan.rounds {
        announce(round, plan.rounds, "payloads");
        for (payload, turns) in payloads.iter().zip(&mut turns) {
            for n in 0..contestants.len() {
                // Another one begins in each round.
                let n = (n + round) % contestants.len();
                if !contestants[n].gets(payload, plan) {
                    continue;
                }
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
    Ok(Turns { payloads, contestants, turns })
}

/// Measures calls from Worker to Worker: one at a time, and as many as the plan says.
pub async fn calls(plan: &Plan, folder: &Path) -> Result<Vec<CallResult>> {
    let target = Target::start("calls", None, folder).await?;
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
    async fn start(config: &'static str, other: Option<&Path>, folder: &Path) -> Result<Self> {
        Ok(Self { workerd: Workerd::start(config, other, folder).await?, client: client() })
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
