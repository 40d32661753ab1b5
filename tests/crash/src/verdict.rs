//! What is in ClickHouse, against what was promised.

use std::collections::HashMap;

use anyhow::Result;
use clickhouse::Client;

use crate::load::Promise;

/// What was found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Spans that were promised and are not there.
    pub lost: u64,
    /// Traces that lack some.
    pub short: Vec<String>,
    /// Rows of which another one has the same object and number.
    pub doubled_rows: u64,
    /// Rows of which another one has the same trace and span.
    pub doubled_spans: u64,
    /// Spans of promised traces that are filed under another tenant.
    pub misfiled: u64,
    /// Promised traces whose times are not there.
    pub without_times: u64,
    /// All rows. Some were never promised: their exporters got no answer.
    pub rows: u64,
}

impl Verdict {
    /// Nothing lost, nothing doubled.
    pub fn is_good(&self) -> bool {
        self.lost + self.doubled_rows + self.doubled_spans + self.misfiled + self.without_times == 0
    }

    /// Asks ClickHouse.
    pub async fn of(client: &Client, promises: &[Promise]) -> Result<Self> {
        let found: HashMap<(String, String), u64> = client
            .query("SELECT TraceId, toString(TenantId), uniqExact(SpanId) FROM otel_traces GROUP BY TraceId, TenantId")
            .fetch_all::<(String, String, u64)>()
            .await?
            .into_iter()
            .map(|(trace, tenant, spans)| ((trace, tenant), spans))
            .collect();
        let mut of_traces: HashMap<&str, u64> = HashMap::new();
        for ((trace, _), spans) in &found {
            *of_traces.entry(trace).or_default() += spans;
        }
        let times =
            client.query("SELECT DISTINCT TraceId FROM otel_traces_trace_id_ts").fetch_all::<String>();
        let times: std::collections::HashSet<String> = times.await?.into_iter().collect();
        let mut verdict = Self::default();
        for Promise { tenant, trace_id, spans } in promises {
            let there = found.get(&(trace_id.clone(), tenant.clone())).copied().unwrap_or(0);
            verdict.misfiled += of_traces.get(trace_id.as_str()).copied().unwrap_or(0) - there;
            if there < *spans {
                verdict.lost += spans - there;
                verdict.short.push(trace_id.clone());
            }
            verdict.without_times += u64::from(!times.contains(trace_id));
        }
        let sql = "SELECT count(), uniqExact(ObjectKey, RowNo), uniqExact(TraceId, SpanId) FROM otel_traces";
        let (rows, by_object, by_trace) = client.query(sql).fetch_one::<(u64, u64, u64)>().await?;
        Ok(Self { rows, doubled_rows: rows - by_object, doubled_spans: rows - by_trace, ..verdict })
    }
}
