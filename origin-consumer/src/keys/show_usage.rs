//! `keys show-usage`

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use spillway_proto::key_record::{KeyRecord, Quotas, Shards};
use spillway_proto::usage::{Usage, UsageRequest};
use spillway_proto::{KeyId, TenantId};

use super::arguments::UsageArgs;
use super::store::{KeyStore, Summary};
use super::times::Month;
use super::{KeysError, usage};
use crate::config::Config;
use crate::output;
use crate::time::now;

/// Records fetched side by side.
const FETCHES: usize = 8;

/// What `--json` shows.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    tenant: &'a TenantId,
    month: String,
    resets_on: String,
    #[serde(flatten)]
    usage: Usage,
    /// One, unless the tenant's keys disagree.
    quotas: Vec<Share>,
}

/// A quota, how much of it is used, and the keys that have it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Share {
    key_ids: Vec<KeyId>,
    #[serde(flatten)]
    quotas: Quotas,
    #[serde(skip_serializing_if = "Option::is_none")]
    spans_percent: Option<u128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_percent: Option<u128>,
}

pub(super) async fn run(store: &KeyStore, config: &Config, arguments: &UsageArgs) -> Result<(), KeysError> {
    let (tenant, now) = (&arguments.tenant, now());
    let month = arguments.month.unwrap_or(Month::of(now));
    let listing = store.list().await?;
    let records = stream::iter(listing.of(tenant)).map(|entry| store.get(&entry.name)).buffered(FETCHES);
    let records: Vec<KeyRecord> = records.try_filter_map(async |record| Ok(record)).try_collect().await?;
    if records.is_empty() {
        return Err(KeysError::NotFound(format!("key of a tenant `{tenant}`")));
    }

    let request = UsageRequest { tenant: tenant.clone(), month: month.name(), shards: shards(&records) };
    let report = usage::ask(&config.edge, &config.notify.signing_keys, &request).await?;
    let usable = records.iter().filter(|record| Summary::from(*record).state(now).is_usable());
    let quotas = shares(usable, report.usage);
    let shown =
        Shown { tenant, month: month.name(), resets_on: month.ends_on(), usage: report.usage, quotas };
    let text = if arguments.json { output::json(&shown)? + "\n" } else { text(&shown) };
    Ok(output::text(&text)?)
}

/// By how many objects the tenant is counted. Each of its keys should say the same.
fn shards(records: &[KeyRecord]) -> Shards {
    records.iter().map(|record| record.limits.shards).max_by_key(|shards| shards.count()).unwrap_or_default()
}

/// The quotas of the keys, each once.
fn shares<'r>(records: impl Iterator<Item = &'r KeyRecord>, usage: Usage) -> Vec<Share> {
    let percent = |used: u64, quota: u64| u128::from(used) * 100 / u128::from(quota);
    let mut shares: Vec<Share> = Vec::new();
    for record in records {
        let quotas = record.quotas;
        match shares.iter_mut().find(|share| share.quotas == quotas) {
            Some(share) => share.key_ids.push(record.key_id.clone()),
            None => shares.push(Share {
                key_ids: vec![record.key_id.clone()],
                quotas,
                spans_percent: quotas.spans_per_month.map(|quota| percent(usage.spans, quota.get())),
                bytes_percent: quotas.bytes_per_month.map(|quota| percent(usage.bytes, quota.get())),
            }),
        }
    }
    for share in &mut shares {
        share.key_ids.sort();
    }
    shares.sort_by(|a, b| a.key_ids.cmp(&b.key_ids));
    shares
}

fn text(shown: &Shown<'_>) -> String {
    let mut rows = Vec::new();
    for (unit, used) in [("spans", shown.usage.spans), ("bytes", shown.usage.bytes)] {
        let row = |quota: Option<u64>, percent: Option<u128>, keys: &str| {
            let quota = quota.map_or_else(|| "-".to_owned(), |quota| quota.to_string());
            let percent = percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent} %"));
            [unit.to_owned(), used.to_string(), quota, percent, keys.to_owned()]
        };
        if shown.quotas.is_empty() {
            rows.push(row(None, None, "-"));
        }
        for share in &shown.quotas {
            let (quota, percent) = match unit {
                "spans" => (share.quotas.spans_per_month, share.spans_percent),
                _ => (share.quotas.bytes_per_month, share.bytes_percent),
            };
            let keys: Vec<_> = share.key_ids.iter().map(KeyId::as_str).collect();
            rows.push(row(quota.map(Into::into), percent, &keys.join(", ")));
        }
    }
    let Shown { tenant, month, resets_on, .. } = shown;
    let table = output::table(["UNIT", "USED", "QUOTA", "PERCENT", "ACTIVE KEYS"], &rows);
    format!("tenant {tenant}, {month} (UTC), counted anew from {resets_on} on\n{table}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: &str) -> KeyRecord {
        serde_json::from_str(json).unwrap()
    }

    fn shown(records: &[KeyRecord], tenant: &TenantId) -> String {
        let usage = Usage { spans: 830, bytes: 123_456 };
        let (month, resets_on) = ("2026-11".to_owned(), "2026-12-01".to_owned());
        text(&Shown { tenant, month, resets_on, usage, quotas: shares(records.iter(), usage) })
    }

    #[test]
    fn keys_that_agree_share_a_row_and_others_do_not() {
        let tenant = "acme".parse().unwrap();
        let quota = |id: &str, quotas: &str| {
            record(&format!(r#"{{"tenant":"acme","key_id":"{id}","quotas":{{{quotas}}}}}"#))
        };
        let same = r#""spans_per_month":1000"#;
        insta::assert_snapshot!(shown(&[quota("web", same), quota("app", same)], &tenant), @r"
        tenant acme, 2026-11 (UTC), counted anew from 2026-12-01 on
        UNIT   USED    QUOTA  PERCENT  ACTIVE KEYS
        spans  830     1000   83 %     app, web
        bytes  123456  -      -        app, web
        ");
        let other = r#""bytes_per_month":100000"#;
        insta::assert_snapshot!(shown(&[quota("web", same), quota("app", other)], &tenant), @r"
        tenant acme, 2026-11 (UTC), counted anew from 2026-12-01 on
        UNIT   USED    QUOTA   PERCENT  ACTIVE KEYS
        spans  830     -       -        app
        spans  830     1000    83 %     web
        bytes  123456  100000  123 %    app
        bytes  123456  -       -        web
        ");
        insta::assert_snapshot!(shown(&[], &tenant), @r"
        tenant acme, 2026-11 (UTC), counted anew from 2026-12-01 on
        UNIT   USED    QUOTA  PERCENT  ACTIVE KEYS
        spans  830     -      -        -
        bytes  123456  -      -        -
        ");
    }

    #[test]
    fn as_many_objects_are_asked_as_any_key_says() {
        let two = record(r#"{"tenant":"acme","key_id":"a","limits":{"shards":2}}"#);
        let one = record(r#"{"tenant":"acme","key_id":"b"}"#);
        assert_eq!(shards(&[one, two]).count(), 2);
        assert_eq!(shards(&[]).count(), 1);
    }
}
