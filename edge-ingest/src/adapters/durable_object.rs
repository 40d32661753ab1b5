//! What a tenant may still send, and has stored: a Durable Object for each tenant (or for each of its shards), with its counts
//! in SQLite.
//!
//! `POST /ask` takes an [`Ask`] and answers a [`Grant`]; `POST /counted/MONTH` answers what this object alone has counted, for
//! its siblings. All in JSON.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use futures_util::future::try_join_all;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use spillway_proto::UnixMillis;
use spillway_proto::usage::Usage;
use worker::{
    Date, DurableObject, Env, Method, ObjectNamespace, Request, Response, SqlStorage, SqlStorageValue, State,
    durable_object, wasm_bindgen,
};

use super::post::{JSON, Post};
use super::{binding, fault};
use crate::allowance::object::{Buckets, Ledger};
use crate::allowance::{Ask, Grant, Settlement, Shard};
use crate::ports::{AllowanceStore, PortError};

const WHAT: &str = "allowance";

/// How old the counts of siblings may be, in milliseconds.
const SIBLINGS_AGE_MS: u64 = 5_000;

/// How long it is remembered what an isolate has settled, in milliseconds; isolates live for hours at most.
const SETTLED_AGE_MS: u64 = 7 * 86_400_000;

/// The Durable Object. Requests to one object come one after the other, and its storage is durable before it answers.
#[durable_object]
pub struct TenantAllowance {
    env: Env,
    counts: Counts,
    memory: AssertUnwindSafe<Memory>,
}

/// What the object knows beyond its counts: right between any two statements, so that a panic leaves nothing half done.
#[derive(Default)]
struct Memory {
    buckets: RefCell<Buckets>,
    /// What all siblings had counted in a month, and when they said so.
    siblings: RefCell<HashMap<String, (Usage, u64)>>,
}

impl DurableObject for TenantAllowance {
    fn new(state: State, env: Env) -> Self {
        let counts = Counts(state.storage().sql());
        Self { env, counts, memory: AssertUnwindSafe(Memory::default()) }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        self.counts.create_tables().map_err(to_error)?;
        let path = request.path();
        match (request.method(), path.trim_start_matches('/').split_once('/')) {
            (Method::Post, None) if path == "/ask" => {
                let ask: Ask = request.json().await?;
                Response::from_json(&self.answer(&ask).await.map_err(to_error)?)
            }
            (Method::Post, Some(("counted", month))) => {
                Response::from_json(&self.counts.usage(month).map_err(to_error)?)
            }
            _ => Response::error("no such path", 404),
        }
    }
}

fn to_error(fault: PortError) -> worker::Error {
    worker::Error::RustError(fault.to_string())
}

impl TenantAllowance {
    async fn answer(&self, ask: &Ask) -> Result<Grant, PortError> {
        let now = UnixMillis(Date::now().as_millis());
        let mut grant = self.memory.buckets.borrow_mut().answer(ask, &self.counts, now)?;
        if ask.limits.shards.count() > 1 {
            grant.usage = grant.usage.plus(self.of_siblings(ask, now).await?);
        }
        Ok(grant)
    }

    async fn of_siblings(&self, ask: &Ask, now: UnixMillis) -> Result<Usage, PortError> {
        if let Some((usage, at)) = self.memory.siblings.borrow().get(&ask.month).copied()
            && now.0.saturating_sub(at) < SIBLINGS_AGE_MS
        {
            return Ok(usage);
        }
        let namespace = self.env.durable_object(binding::ALLOWANCE).map_err(fault(WHAT))?;
        let path = format!("counted/{}", ask.month);
        let siblings = (0..ask.limits.shards.count()).filter(|index| *index != ask.shard.index);
        let counts = siblings.map(async |index| {
            let shard = Shard { tenant: ask.shard.tenant.clone(), index };
            post::<Usage>(&namespace, &shard, &path, &[]).await
        });
        let counts: Vec<Usage> = try_join_all(counts).await?;
        let sum = counts.into_iter().fold(Usage::default(), Usage::plus);
        self.memory.siblings.borrow_mut().insert(ask.month.clone(), (sum, now.0));
        Ok(sum)
    }
}

/// The counts, in SQLite.
struct Counts(SqlStorage);

#[derive(Deserialize)]
struct Sequence {
    sequence: u64,
}

impl Counts {
    fn rows<T: DeserializeOwned>(
        &self,
        statement: &str,
        bindings: Vec<SqlStorageValue>,
    ) -> Result<Vec<T>, PortError> {
        self.0.exec(statement, bindings).and_then(|rows| rows.to_array()).map_err(fault(WHAT))
    }

    fn run(&self, statement: &str, bindings: Vec<SqlStorageValue>) -> Result<(), PortError> {
        self.0.exec(statement, bindings).map(drop).map_err(fault(WHAT))
    }

    fn create_tables(&self) -> Result<(), PortError> {
        self.run(
            "CREATE TABLE IF NOT EXISTS counted
             (month TEXT PRIMARY KEY, spans INTEGER NOT NULL, bytes INTEGER NOT NULL);
             CREATE TABLE IF NOT EXISTS settled
             (isolate TEXT PRIMARY KEY, sequence INTEGER NOT NULL, at INTEGER NOT NULL)",
            Vec::new(),
        )
    }
}

impl Ledger for Counts {
    /// All of it is one transaction: the runtime commits what an object writes without waiting in between as one.
    fn settle(&self, isolate: &str, settlement: &Settlement, now: UnixMillis) -> Result<(), PortError> {
        if self.settled(isolate)? >= settlement.sequence {
            return Ok(());
        }
        self.run("DELETE FROM settled WHERE at < ?", vec![integer(now.0.saturating_sub(SETTLED_AGE_MS))])?;
        self.run(
            "INSERT OR REPLACE INTO settled (isolate, sequence, at) VALUES (?, ?, ?)",
            vec![SqlStorageValue::from(isolate), integer(settlement.sequence), integer(now.0)],
        )?;
        self.run(
            "INSERT INTO counted (month, spans, bytes) VALUES (?, ?, ?)
             ON CONFLICT (month) DO UPDATE SET spans = spans + excluded.spans, bytes = bytes + excluded.bytes",
            vec![
                SqlStorageValue::from(settlement.month.as_str()),
                integer(settlement.usage.spans),
                integer(settlement.usage.bytes),
            ],
        )
    }

    fn settled(&self, isolate: &str) -> Result<u64, PortError> {
        let statement = "SELECT sequence FROM settled WHERE isolate = ?";
        let rows: Vec<Sequence> = self.rows(statement, vec![SqlStorageValue::from(isolate)])?;
        Ok(rows.first().map_or(0, |row| row.sequence))
    }

    fn usage(&self, month: &str) -> Result<Usage, PortError> {
        let statement = "SELECT spans, bytes FROM counted WHERE month = ?";
        let rows: Vec<Usage> = self.rows(statement, vec![SqlStorageValue::from(month)])?;
        Ok(rows.first().copied().unwrap_or_default())
    }
}

fn integer(number: u64) -> SqlStorageValue {
    SqlStorageValue::from(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The port: asks the tenant's object.
pub(super) struct DurableAllowances(ObjectNamespace);

impl DurableAllowances {
    pub(super) fn new(namespace: ObjectNamespace) -> Self {
        Self(namespace)
    }
}

impl AllowanceStore for DurableAllowances {
    async fn ask(&self, ask: &Ask) -> Result<Grant, PortError> {
        let body = serde_json::to_vec(ask).map_err(fault(WHAT))?;
        post(&self.0, &ask.shard, "ask", &body).await
    }
}

async fn post<T: DeserializeOwned>(
    namespace: &ObjectNamespace,
    shard: &Shard,
    path: &str,
    body: &[u8],
) -> Result<T, PortError> {
    let ask = async {
        let url = format!("https://allowance/{path}");
        let request = Post { url: &url, headers: &[("content-type", JSON)], body }.request()?;
        let mut response = namespace.get_by_name(&shard.name())?.fetch_with_request(request).await?;
        match response.status_code() {
            200 => response.json().await,
            status => Err(worker::Error::RustError(format!("answered {status}"))),
        }
    };
    ask.await.map_err(fault(WHAT))
}
