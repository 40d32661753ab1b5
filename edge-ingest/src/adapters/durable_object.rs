//! The spans that a tenant has stored, month by month: a Durable Object for each tenant, with its counts in SQLite.
//!
//! `GET /{month}` answers the count as decimal text, `POST /{month}/{spans}` adds to it and answers the new one.

use serde::Deserialize;
use spillway_proto::TenantId;
use worker::{
    DurableObject, Env, Method, ObjectNamespace, Request, RequestInit, Response, SqlStorage, SqlStorageValue,
    State, durable_object, wasm_bindgen,
};

use super::fault;
use crate::ports::{PortError, UsageCounter};

const WHAT: &str = "usage counter";

/// The Durable Object. Requests to one object come one after the other, and its storage is durable before it answers.
#[durable_object]
pub struct MonthlyUsage {
    sql: SqlStorage,
}

#[derive(Deserialize)]
struct Row {
    spans: u64,
}

impl DurableObject for MonthlyUsage {
    fn new(state: State, _env: Env) -> Self {
        Self { sql: state.storage().sql() }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        let url = request.url()?;
        let parts: Vec<_> = url.path().split('/').skip(1).collect();
        match (request.method(), &parts[..]) {
            (Method::Get, [month]) => Response::ok(self.spans(month)?.to_string()),
            (Method::Post, [month, spans]) => match spans.parse() {
                Ok(spans) => Response::ok(self.add(month, spans)?.to_string()),
                Err(_) => Response::error("not a number of spans", 400),
            },
            _ => Response::error("no such path", 404),
        }
    }
}

impl MonthlyUsage {
    fn spans(&self, month: &str) -> worker::Result<u64> {
        self.create_table()?;
        let rows =
            self.sql.exec("SELECT spans FROM usage WHERE month = ?", vec![SqlStorageValue::from(month)])?;
        Ok(rows.to_array::<Row>()?.first().map_or(0, |row| row.spans))
    }

    fn add(&self, month: &str, spans: u32) -> worker::Result<u64> {
        self.create_table()?;
        let bindings = vec![SqlStorageValue::from(month), SqlStorageValue::from(i64::from(spans))];
        let rows = self.sql.exec(
            "INSERT INTO usage (month, spans) VALUES (?, ?)
             ON CONFLICT (month) DO UPDATE SET spans = spans + excluded.spans RETURNING spans",
            bindings,
        )?;
        Ok(rows.to_array::<Row>()?.first().map_or(0, |row| row.spans))
    }

    fn create_table(&self) -> worker::Result<()> {
        let table = "CREATE TABLE IF NOT EXISTS usage (month TEXT PRIMARY KEY, spans INTEGER NOT NULL)";
        self.sql.exec(table, None).map(drop)
    }
}

/// The port: asks the tenant's object.
pub(super) struct DurableUsage(ObjectNamespace);

impl DurableUsage {
    pub(super) fn new(namespace: ObjectNamespace) -> Self {
        Self(namespace)
    }

    async fn ask(&self, tenant: &TenantId, method: Method, path: &str) -> Result<u64, PortError> {
        let ask = async {
            let init = RequestInit { method, ..RequestInit::default() };
            let request = Request::new_with_init(&format!("https://usage/{path}"), &init)?;
            let mut response = self.0.get_by_name(tenant.as_str())?.fetch_with_request(request).await?;
            match response.status_code() {
                200 => response.text().await,
                status => Err(worker::Error::RustError(format!("answered {status}"))),
            }
        };
        ask.await.map_err(fault(WHAT))?.parse().map_err(fault(WHAT))
    }
}

impl UsageCounter for DurableUsage {
    async fn spans(&self, tenant: &TenantId, month: &str) -> Result<u64, PortError> {
        self.ask(tenant, Method::Get, month).await
    }

    async fn add(&self, tenant: &TenantId, month: &str, spans: u32) -> Result<(), PortError> {
        self.ask(tenant, Method::Post, &format!("{month}/{spans}")).await.map(drop)
    }
}
