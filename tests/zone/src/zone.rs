//! A running zone.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::firewall::{Firewall, Switches};
use crate::front;
use crate::request::Client;
use crate::rules::Rules;
use crate::subrequests::{Mode, Subrequests, Way};

/// So many requests are remembered by their trace, to tell whose notification a Worker sends.
const REMEMBERED_CLIENTS: usize = 100_000;
/// So many kinds of requests are counted apart.
const MOST_COUNTS: usize = 10_000;

/// What a zone is.
#[derive(Debug, Clone)]
pub struct ZoneOptions {
    /// Its name, such as `example.com`.
    pub name: String,
    /// Its rules and routes.
    pub rules: Rules,
    /// What is switched on beside them.
    pub switches: Switches,
    /// Which way the Worker's own requests go.
    pub mode: Mode,
    /// For the mixture.
    pub seed: u64,
    /// Where the Worker runs; `http://127.0.0.1:8787`.
    pub worker: String,
    /// Where the origin is, for all hosts.
    pub origin: String,
}

/// A running zone; it ends when it is dropped.
pub struct Zone {
    /// Where clients come to.
    pub url: String,
    /// Where whatever runs the Worker sends the Worker's own requests to, each with the header `zone-url`.
    pub subrequests_url: String,
    state: Arc<State>,
    servers: Vec<JoinHandle<()>>,
}

/// What the handlers share.
pub(crate) struct State {
    pub(crate) name: String,
    inner: Mutex<Inner>,
}

pub(crate) struct Inner {
    pub(crate) rules: Rules,
    pub(crate) firewall: Firewall,
    pub(crate) subrequests: Subrequests,
    pub(crate) worker: String,
    pub(crate) origin: String,
    clients: HashMap<String, Client>,
    remembered: VecDeque<String>,
    counts: BTreeMap<Kind, Count>,
}

/// Who has sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Somebody outside.
    Client,
    /// The zone's Worker.
    Worker,
}

/// Where a request has ended up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// The Worker has answered.
    Worker,
    /// The origin has answered.
    Origin,
    /// A rule has refused it: its phase and its reference.
    Refused(String, String),
    /// It was for another zone.
    Elsewhere,
}

/// Requests that fared alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Kind {
    /// Who has sent them.
    pub source: Source,
    /// For the Worker's: their way.
    pub way: Option<Way>,
    /// Their host.
    pub host: String,
    /// Their path.
    pub path: String,
    /// What became of them.
    pub fate: Fate,
    /// What they were answered.
    pub status: u16,
    /// The rules that have skipped something for them.
    pub skipped_by: Vec<String>,
}

/// How many, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// So many.
    pub requests: u64,
    /// The first, in milliseconds since 1970.
    pub first_ms: u64,
    /// The last.
    pub last_ms: u64,
}

/// What the zone has seen so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Which way the Worker's requests go.
    pub subrequests: Mode,
    /// All kinds.
    pub seen: Vec<Seen>,
}

/// A line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What they have in common.
    #[serde(flatten)]
    pub kind: Kind,
    /// How many they are.
    #[serde(flatten)]
    pub count: Count,
}

impl Report {
    /// The requests for which `is` holds.
    pub fn count(&self, is: impl Fn(&Kind) -> bool) -> u64 {
        self.seen.iter().filter(|seen| is(&seen.kind)).map(|seen| seen.count.requests).sum()
    }

    /// When the first of them came, in milliseconds since 1970.
    pub fn first_ms(&self, is: impl Fn(&Kind) -> bool) -> Option<u64> {
        self.seen.iter().filter(|seen| is(&seen.kind)).map(|seen| seen.count.first_ms).min()
    }
}

impl Zone {
    /// Starts it; clients come to `listen`, the Worker's requests to a free port of loopback.
    ///
    /// # Errors
    ///
    /// A rule cannot be simulated, or an address cannot be listened on.
    pub async fn start(options: ZoneOptions, listen: SocketAddr) -> Result<Self> {
        let ZoneOptions { name, rules, switches, mode, seed, worker, origin } = options;
        let firewall = Firewall::new(&rules.rulesets, &switches)?;
        let inner = Inner {
            rules,
            firewall,
            subrequests: Subrequests::new(mode, seed),
            worker,
            origin,
            clients: HashMap::new(),
            remembered: VecDeque::new(),
            counts: BTreeMap::new(),
        };
        let state = Arc::new(State { name, inner: Mutex::new(inner) });
        let (url, clients) = serve(listen, front::clients(Arc::clone(&state))).await?;
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let (subrequests_url, subrequests) = serve(loopback, front::subrequests(Arc::clone(&state))).await?;
        Ok(Self { url, subrequests_url, state, servers: vec![clients, subrequests] })
    }

    /// From now on, another Worker and another origin.
    pub fn connect(&self, worker: &str, origin: &str) {
        let mut inner = self.state.lock();
        worker.clone_into(&mut inner.worker);
        origin.clone_into(&mut inner.origin);
    }

    /// From now on, other rules; all counters begin anew.
    ///
    /// # Errors
    ///
    /// A rule cannot be simulated; the former ones hold.
    pub fn set_rules(&self, rules: Rules, switches: &Switches) -> Result<()> {
        let firewall = Firewall::new(&rules.rulesets, switches)?;
        let mut inner = self.state.lock();
        inner.firewall = firewall;
        inner.rules = rules;
        Ok(())
    }

    /// From now on, the Worker's requests go this way.
    pub fn set_mode(&self, mode: Mode) {
        self.state.lock().subrequests.set(mode);
    }

    /// Its rules.
    pub fn rules(&self) -> Rules {
        self.state.lock().rules.clone()
    }

    /// What it has seen so far.
    pub fn report(&self) -> Report {
        self.state.report()
    }
}

impl Drop for Zone {
    fn drop(&mut self) {
        self.servers.iter().for_each(JoinHandle::abort);
    }
}

impl State {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn report(&self) -> Report {
        let inner = self.lock();
        let seen = inner.counts.iter().map(|(kind, count)| Seen { kind: kind.clone(), count: *count });
        Report { subrequests: inner.subrequests.mode(), seen: seen.collect() }
    }

    /// Whether a host is one of the zone's.
    pub(crate) fn has_host(&self, host: &str) -> bool {
        host.strip_suffix(&self.name).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    }
}

impl Inner {
    /// Notes who has sent the request with this trace.
    pub(crate) fn remember(&mut self, trace_id: String, client: Client) {
        if self.clients.insert(trace_id.clone(), client).is_none() {
            self.remembered.push_back(trace_id);
        }
        if self.remembered.len() > REMEMBERED_CLIENTS
            && let Some(oldest) = self.remembered.pop_front()
        {
            self.clients.remove(&oldest);
        }
    }

    /// Who has sent it.
    pub(crate) fn client_of(&self, trace_id: &str) -> Option<Client> {
        self.clients.get(trace_id).cloned()
    }

    pub(crate) fn note(&mut self, kind: Kind) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        if self.counts.len() >= MOST_COUNTS && !self.counts.contains_key(&kind) {
            return;
        }
        let count = self.counts.entry(kind).or_insert(Count { requests: 0, first_ms: now, last_ms: now });
        count.requests += 1;
        count.last_ms = now;
    }
}

async fn serve(listen: SocketAddr, router: axum::Router) -> Result<(String, JoinHandle<()>)> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let url = format!("http://{}", listener.local_addr()?);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, service).await {
            eprintln!("zone: {error}");
        }
    });
    Ok((url, server))
}
