//! Which record a new key gets.

use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use spillway_proto::KeyId;
use spillway_proto::key_record::{KeyRecord, KeyStatus, Rate};
use ulid::Ulid;

use super::arguments::{CreateArgs, LimitArgs};
use super::times::{Expires, shown};

/// A record cannot be made of what was given. Names the option or the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The record file is not a record.
    #[error("--record-file: {0}")]
    File(String),
    /// An option, or the field that it would set, cannot be right.
    #[error("{field} must be {expected}, and is {found}")]
    Value {
        /// Which.
        field: &'static str,
        /// What would be right.
        expected: String,
        /// What it is.
        found: String,
    },
}

fn wrong(field: &'static str, expected: impl Into<String>, found: impl Into<String>) -> RecordError {
    RecordError::Value { field, expected: expected.into(), found: found.into() }
}

/// An id that no other key has.
pub fn new_key_id() -> Result<KeyId, RecordError> {
    let id = Ulid::generate().to_string().to_lowercase();
    id.parse().map_err(|_| wrong("--key-id", "given", "missing"))
}

/// The record that the arguments describe, over that of `file`, the text of the record file, if there is one.
pub fn of_arguments(
    arguments: &CreateArgs,
    file: Option<&str>,
    now: DateTime<Utc>,
) -> Result<KeyRecord, RecordError> {
    let mut record = base(arguments, file)?;
    if let Some(project) = &arguments.project {
        record.project = Some(project.clone());
    }
    if let Some(not_before) = arguments.not_before {
        record.not_before = Some(not_before);
    }
    if let Some(expires) = arguments.expires {
        record.expires_at = expires.moment(now);
    }
    if !arguments.allowed_origins.is_empty() {
        record.allowed_origins = Some(arguments.allowed_origins.clone());
    }
    set_limits(&mut record, &arguments.limits)?;
    check(&record, now)?;
    Ok(record)
}

/// The record of the file, or an empty one, with the tenant and the id of the arguments.
fn base(arguments: &CreateArgs, file: Option<&str>) -> Result<KeyRecord, RecordError> {
    let mut fields: Map<String, Value> = match file {
        Some(text) => serde_json::from_str(text)
            .map_err(|error| RecordError::File(format!("must be an object in JSON: {error}")))?,
        None => Map::new(),
    };
    let tenant = arguments.tenant.as_str();
    if let Some(other) = fields.get("tenant").filter(|other| *other != tenant) {
        return Err(wrong("--record-file: tenant", format!("`{tenant}`, as --tenant is"), other.to_string()));
    }
    fields.insert("tenant".to_owned(), tenant.into());
    if let Some(key_id) = &arguments.key_id {
        fields.insert("key_id".to_owned(), key_id.as_str().into());
    } else if !fields.contains_key("key_id") {
        fields.insert("key_id".to_owned(), new_key_id()?.as_str().into());
    }
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
        let path = error.path().to_string();
        RecordError::File(format!("{path}: {}", error.into_inner()))
    })
}

fn set_limits(record: &mut KeyRecord, given: &LimitArgs) -> Result<(), RecordError> {
    let limits = &mut record.limits;
    set_rate(&mut limits.requests, given.requests_per_second, given.requests_burst);
    for (rate, per_second, burst, field) in [
        (&mut limits.spans, given.spans_per_second, given.spans_burst, "--spans-burst"),
        (&mut limits.bytes, given.bytes_per_second, given.bytes_burst, "--bytes-burst"),
    ] {
        match (rate.as_mut(), per_second, burst) {
            (Some(rate), per_second, burst) => set_rate(rate, per_second, burst),
            (None, Some(per_second), burst) => *rate = Some(Rate { per_second, burst }),
            (None, None, None) => {}
            (None, None, Some(burst)) => {
                return Err(wrong(field, "given together with its rate a second", format!("{burst} alone")));
            }
        }
    }
    if let Some(shards) = given.shards {
        limits.shards = shards;
    }
    record.quotas.spans_per_month = given.spans_per_month.or(record.quotas.spans_per_month);
    record.quotas.bytes_per_month = given.bytes_per_month.or(record.quotas.bytes_per_month);
    Ok(())
}

fn set_rate(rate: &mut Rate, per_second: Option<NonZeroU32>, burst: Option<NonZeroU32>) {
    if let Some(per_second) = per_second {
        rate.per_second = per_second;
    }
    if burst.is_some() {
        rate.burst = burst;
    }
}

/// Whether the record makes a key of any use.
pub fn check(record: &KeyRecord, now: DateTime<Utc>) -> Result<(), RecordError> {
    if record.status == KeyStatus::Revoked {
        return Err(wrong("--record-file: status", "`active` for a new key", "`revoked`"));
    }
    if let Some(ends) = record.expires_at {
        let begins = record.not_before.unwrap_or(now).max(now);
        if ends <= begins {
            let expected = format!("later than {}, when the key begins", shown(Some(begins)));
            return Err(wrong("--expires", expected, shown(Some(ends))));
        }
    }
    match record.allowed_origins.iter().flatten().find(|origin| !is_origin(origin)) {
        Some(bad) => {
            Err(wrong("--allowed-origin", "such as https://app.example.com, or `*`", format!("`{bad}`")))
        }
        None => Ok(()),
    }
}

/// As browsers write it: <https://www.rfc-editor.org/rfc/rfc6454#section-6.1>
fn is_origin(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    };
    text == "*"
        || text.split_once("://").is_some_and(|(scheme, host)| {
            !scheme.is_empty()
                && is_scheme(scheme)
                && !host.is_empty()
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'#' | b'@'))
        })
}

/// What a rotation writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The new key's record.
    pub new: KeyRecord,
    /// The old key's, with its end.
    pub old: KeyRecord,
}

/// A new key like the `old` one, which ends `overlap` from now, or sooner if it would have.
pub fn rotation(
    old: KeyRecord,
    new_key_id: KeyId,
    expires: Option<Expires>,
    overlap: Expires,
    now: DateTime<Utc>,
) -> Result<Rotation, RecordError> {
    let expires_at = match (expires, old.expires_at) {
        (Some(expires), _) => expires.moment(now),
        (None, None) => None,
        (None, Some(ends)) => {
            // Whether the new one should end then, so much later or not at all is not for a default to say.
            let expected = format!("given, since the old key has an end ({})", shown(Some(ends)));
            return Err(wrong("--expires", expected, "missing"));
        }
    };
    let new = KeyRecord { key_id: new_key_id, expires_at, ..old.clone() };
    check(&new, now)?;
    let ends = overlap.moment(now);
    let old = KeyRecord { expires_at: ends.into_iter().chain(old.expires_at).min(), ..old };
    Ok(Rotation { new, old })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use clap::{Args, FromArgMatches};
    use serde_json::json;
    use spillway_proto::key_record::RateLimits;
    use spillway_proto::otlp::SpanLimits;

    use super::*;
    use crate::keys::times::moment;

    fn now() -> DateTime<Utc> {
        moment("2026-11-20T10:00:00Z").unwrap()
    }

    fn record(options: &str, file: Option<&str>) -> Result<KeyRecord, RecordError> {
        let command = CreateArgs::augment_args(clap::Command::new("create").no_binary_name(true));
        let options = format!("--tenant acme {options}");
        let matches = command.try_get_matches_from(options.split_whitespace()).unwrap();
        of_arguments(&CreateArgs::from_arg_matches(&matches).unwrap(), file, now())
    }

    fn to_json(record: &KeyRecord) -> Value {
        serde_json::to_value(record).unwrap()
    }

    #[test]
    fn a_tenant_is_enough_and_each_key_has_an_id_of_its_own() {
        let (one, another) = (record("", None).unwrap(), record("", None).unwrap());
        assert_ne!(one.key_id, another.key_id);
        assert_eq!(one.key_id.as_str(), one.key_id.as_str().to_lowercase());
        assert_eq!((one.expires_at, one.allowed_origins, one.limits), (None, None, Default::default()));
    }

    #[test]
    fn every_option_is_in_the_record() {
        let options = "--project shop --key-id web --not-before 2026-12-01T00:00:00Z --expires 90d \
            --allowed-origin https://app.example.com --allowed-origin http://localhost:3000 \
            --requests-per-second 1 --requests-burst 2 --spans-per-second 3 --spans-burst 4 \
            --bytes-per-second 5 --shards 6 --spans-per-month 7 --bytes-per-month 8";
        let expected = json!({
            "tenant": "acme", "project": "shop", "key_id": "web", "status": "active",
            "not_before": "2026-12-01T00:00:00Z", "expires_at": "2027-02-18T10:00:00Z",
            "allowed_origins": ["https://app.example.com", "http://localhost:3000"],
            "limits": {
                "requests": { "per_second": 1, "burst": 2 }, "spans": { "per_second": 3, "burst": 4 },
                "bytes": { "per_second": 5 }, "shards": 6,
            },
            "quotas": { "spans_per_month": 7, "bytes_per_month": 8 },
        });
        assert_eq!(to_json(&record(options, None).unwrap()), expected);
    }

    #[test]
    fn the_readme_shows_every_field_and_the_defaults() {
        let readme = include_str!("../../../README.md");
        let (_, section) = readme.split_once("## Keys").unwrap();
        let (_, block) = section.split_once("```json").unwrap();
        let shown: Value = serde_json::from_str(block.split_once("```").unwrap().0).unwrap();
        let record: KeyRecord = serde_json::from_value(shown.clone()).unwrap();
        let mut limits = serde_json::to_value(record.span_limits).unwrap();
        // No bound is not written.
        assert_eq!(limits.as_object_mut().unwrap().insert("max_backwards_ms".to_owned(), Value::Null), None);
        assert_eq!(limits, shown["span_limits"], "defaults are not written, and all of them are shown");
        let mut written = to_json(&record);
        written["span_limits"] = limits;
        assert_eq!(written, shown);
        let KeyRecord { project, not_before, expires_at, allowed_origins, limits, quotas, .. } =
            record.clone();
        assert!(
            project.is_some() && not_before.is_some() && expires_at.is_some() && allowed_origins.is_some()
        );
        assert!(limits.spans.is_some() && limits.bytes.is_some());
        assert!(quotas.spans_per_month.is_some() && quotas.bytes_per_month.is_some());
        let default = RateLimits::default();
        assert_eq!(
            (limits.requests.per_second, limits.requests.burst()),
            (default.requests.per_second, default.requests.burst())
        );
        assert_eq!((limits.shards, record.span_limits), (default.shards, SpanLimits::default()));
    }

    #[test]
    fn options_go_over_the_file() {
        let file = r#"{ "tenant": "acme", "key_id": "web", "expires_at": "2027-01-01T00:00:00Z",
            "limits": { "spans": { "per_second": 10, "burst": 20 } }, "span_limits": { "max_events": 5 } }"#;
        let record = record("--spans-burst 30 --requests-burst 500 --expires never", Some(file)).unwrap();
        assert_eq!((record.key_id.as_str(), record.expires_at), ("web", None));
        let limits = &to_json(&record)["limits"];
        assert_eq!(limits["spans"], json!({ "per_second": 10, "burst": 30 }));
        assert_eq!(limits["requests"], json!({ "per_second": 100, "burst": 500 }));
        assert_eq!((record.span_limits.max_events, record.span_limits.max_links), (5, 1024));
    }

    #[test]
    fn what_cannot_be_right_is_named() {
        for (options, file, field) in [
            ("--expires 0s", None, "--expires"),
            ("--expires 2026-11-20T09:00:00Z", None, "--expires"),
            ("--expires 1d --not-before 2026-12-01T00:00:00Z", None, "--expires"),
            ("--spans-burst 5", None, "--spans-burst"),
            ("--bytes-burst 5", None, "--bytes-burst"),
            ("--allowed-origin app.example.com", None, "--allowed-origin"),
            ("--allowed-origin https://app.example.com/", None, "--allowed-origin"),
            ("", Some(r#"{"tenant":"other"}"#), "--record-file: tenant"),
            ("", Some(r#"{"status":"revoked"}"#), "--record-file: status"),
            ("", Some(r#"{"quotas":{"span_per_month":5}}"#), "--record-file: quotas"),
            (
                "",
                Some(r#"{"limits":{"requests":{"per_second":0}}}"#),
                "--record-file: limits.requests.per_second",
            ),
            ("", Some(r#"["a list"]"#), "--record-file: must be an object"),
            ("", Some("not JSON"), "--record-file: must be an object"),
        ] {
            let error = record(options, file).unwrap_err().to_string();
            assert!(error.starts_with(field), "{field}: {error}");
        }
    }

    #[test]
    fn a_rotation_keeps_everything_but_id_and_end() {
        let old = record("--key-id web --project shop --spans-per-month 7 --shards 2", None).unwrap();
        let (id, overlap): (KeyId, _) = ("web-2".parse().unwrap(), Expires::After(TimeDelta::hours(24)));
        let Rotation { new, old: ended } = rotation(old.clone(), id.clone(), None, overlap, now()).unwrap();
        assert_eq!(new, KeyRecord { key_id: id, ..old.clone() });
        assert_eq!(ended, KeyRecord { expires_at: Some(now() + TimeDelta::hours(24)), ..old });
    }

    #[test]
    fn a_rotation_never_lengthens_the_old_key_and_asks_for_the_end_of_the_new_one() {
        let old = record("--key-id web --expires 1h", None).unwrap();
        let rotate = |expires, overlap| {
            let overlap = Expires::After(TimeDelta::hours(overlap));
            rotation(old.clone(), "web-2".parse().unwrap(), expires, overlap, now())
        };
        assert!(rotate(None, 24).unwrap_err().to_string().starts_with("--expires"));
        let rotation = rotate(Some(Expires::After(TimeDelta::days(90))), 24).unwrap();
        assert_eq!(rotation.old.expires_at, old.expires_at);
        assert_eq!(rotation.new.expires_at, Some(now() + TimeDelta::days(90)));
        let at_once = rotate(Some(Expires::Never), 0).unwrap();
        assert_eq!((at_once.old.expires_at, at_once.new.expires_at), (Some(now()), None));
    }
}
