//! Checks that what a client has sent is in the table once, and right in every column.
//!
//! It starts from the bytes that the [`proxy`](crate::proxy) has recorded, and reads them by itself: it decompresses, decodes
//! protobuf into the messages of `opentelemetry-proto` and JSON by `serde_json`, and computes the rows from the documents
//! (README.md, "Which spans are valid"; `origin-consumer/migrations/schema.sql`). It shares no code with Spillway's own ways to
//! rows, so that an error of theirs is not its own as well.
//!
//! It expects the default span limits, and requests that keep to them: what it cannot compute is an error, and never skipped.

mod json;
mod request;
mod row;
mod table;
#[cfg(test)]
mod tests;
mod value;

use std::collections::HashMap;
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::Value;

use crate::export::Export;
use crate::proxy::Try;
use crate::stack::{ARRIVAL, TestStack};

use self::row::{Owner, Row};

/// Compares what clients have sent with the table of one stack.
pub struct Verifier<'a> {
    /// The stack whose table it reads.
    pub stack: &'a TestStack,
    /// The tenant whose key the clients send.
    pub tenant: &'a str,
    /// The project of that key; empty where it has none.
    pub project: &'a str,
}

/// What the verifier has found stored, and right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stored {
    /// The distinct requests that the edge has taken. Tries with the same message are one.
    pub requests: usize,
    /// The rows: the valid spans of those requests.
    pub rows: usize,
    /// The spans that are not valid, and have no row.
    pub rejected: usize,
    /// The spans that lie in more than one of those requests, each of which is stored: the client has mixed what it sent again
    /// with what was new.
    pub repeated: usize,
    /// How many of the tries repeat a message in other bytes, as a client does that compresses anew for each try.
    pub repacked_tries: usize,
}

/// The tries of one request.
struct Sent<'t> {
    message: ExportTraceServiceRequest,
    /// The message in protobuf: NaN, which it may hold, is not equal to itself.
    encoded: Vec<u8>,
    tries: Vec<&'t Try>,
}

impl Sent<'_> {
    fn is_taken(&self) -> bool {
        self.tries.iter().any(|each| each.edge_status == Some(200))
    }

    /// When it was received first, and when its last answer had come at the latest.
    fn received(&self) -> Result<SystemTime> {
        self.tries.iter().map(|each| each.received_at).min().context("no try")
    }
}

impl Verifier<'_> {
    /// Waits until the rows of all requests that the edge has answered 200 are there, and then compares every row of their
    /// traces with what was sent. Of a request that was refused there must be no row.
    ///
    /// # Errors
    ///
    /// A row that is missing, doubled, or not as sent, by the name of its column; a request that cannot be read.
    pub async fn check(&self, tries: &[Try]) -> Result<Stored> {
        let sent = distinct(tries)?;
        let mut stored = Stored::default();
        for request in &sent {
            let first = &request.tries[0].body;
            stored.repacked_tries += request.tries.iter().filter(|each| each.body != *first).count();
        }
        let owner = Owner { tenant: self.tenant, project: self.project };
        let mut expected = Vec::new();
        for (number, request) in sent.iter().enumerate().filter(|(_, request)| request.is_taken()) {
            let (rows, rejected) = row::rows_of(&request.message, number, &owner, request.received()?)?;
            stored.requests += 1;
            stored.rejected += rejected;
            expected.extend(rows);
        }
        stored.rows = expected.len();
        let traces = trace_ids(&sent);
        let rows = self.settled_rows(&traces, expected.len()).await?;
        stored.repeated = compare(expected, rows)?;
        Ok(stored)
    }

    /// The rows of the traces, once all that was acknowledged has been through: also what is a resend, and brings none.
    async fn settled_rows(&self, traces: &[String], at_least: usize) -> Result<Vec<Value>> {
        let deadline = Instant::now() + ARRIVAL;
        while table::count(self.stack, traces).await? < at_least {
            if Instant::now() >= deadline {
                let rows = table::count(self.stack, traces).await?;
                bail!("{rows} of {at_least} rows are there after {ARRIVAL:?}");
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        // Notifications are taken in their order, so once a later request is stored, the earlier ones were looked at.
        let later = Export::new(1);
        later.accepted(self.stack).await?;
        self.stack.await_trace(&later.trace_id, 1).await?;
        table::rows(self.stack, traces).await
    }
}

/// The requests, each with its tries. What was cut short, and so was not taken, is left out.
fn distinct(tries: &[Try]) -> Result<Vec<Sent<'_>>> {
    let mut sent: Vec<Sent<'_>> = Vec::new();
    for each in tries {
        let message = match request::decode(each) {
            Ok(message) => message,
            Err(_) if each.edge_status != Some(200) => continue,
            Err(error) => return Err(error.context("a request that the edge has taken cannot be read")),
        };
        let encoded = message.encode_to_vec();
        match sent.iter_mut().find(|known| known.encoded == encoded) {
            Some(known) => known.tries.push(each),
            None => sent.push(Sent { message, encoded, tries: vec![each] }),
        }
    }
    Ok(sent)
}

fn trace_ids(sent: &[Sent<'_>]) -> Vec<String> {
    let scopes = sent.iter().flat_map(|request| &request.message.resource_spans);
    let spans = scopes.flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans);
    let mut ids: Vec<_> = spans.map(|span| row::hex(&span.trace_id)).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// Holds the rows of the table to the expected ones. Returns how many spans are in more than one request.
fn compare(expected: Vec<Row>, rows: Vec<Value>) -> Result<usize> {
    let mut found: HashMap<(String, String), Vec<Value>> = HashMap::new();
    for row in rows {
        let id = |column: &str| row[column].as_str().unwrap_or_default().to_owned();
        found.entry((id("TraceId"), id("SpanId"))).or_default().push(row);
    }
    let mut of_span: HashMap<(String, String), Vec<Row>> = HashMap::new();
    for row in expected {
        of_span.entry(row.id()).or_default().push(row);
    }
    let mut object_of_request = HashMap::new();
    let mut repeated = 0;
    for (id, expected) in of_span {
        let rows = found.remove(&id).unwrap_or_default();
        let (times, name) = (rows.len(), expected[0].columns["SpanName"].clone());
        ensure!(
            times == expected.len(),
            "span {name} {id:?} is there {times} times instead of {}",
            expected.len()
        );
        repeated += usize::from(times > 1);
        // The rows of a span that several requests hold differ at most by request.
        let mut rows = rows;
        for row in expected {
            let place = rows.iter().position(|found| row.check(found).is_ok()).unwrap_or(0);
            let found = rows.swap_remove(place);
            row.check(&found).with_context(|| format!("span {name} {id:?}"))?;
            let object = object_of_request.entry(row.request).or_insert_with(|| found["ObjectKey"].clone());
            ensure!(
                *object == found["ObjectKey"],
                "a request's rows are of {object} and {}",
                found["ObjectKey"]
            );
        }
    }
    ensure!(found.is_empty(), "rows of spans that no accepted request holds: {:?}", found.keys());
    Ok(repeated)
}
