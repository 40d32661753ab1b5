//! Step 3: whether the tenant may store any more this month.

use spillway_proto::UnixMillis;
use spillway_proto::key_record::Quotas;
use spillway_proto::usage::Usage;

use crate::reject::Rejection;

/// From how much of a quota on answers carry a warning, in percent.
const WARN_PERCENT: u64 = 80;

/// How much of its quotas a tenant has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuotaState {
    /// Of the spans, in percent, rounded down; none without a quota.
    pub spans_percent: Option<u64>,
    /// Of the bytes.
    pub bytes_percent: Option<u64>,
}

impl QuotaState {
    /// The state of `quotas` when `usage` was stored.
    pub fn of(quotas: &Quotas, usage: Usage) -> Self {
        let percent = |used: u64, quota: u64| {
            u64::try_from(u128::from(used) * 100 / u128::from(quota)).unwrap_or(u64::MAX)
        };
        Self {
            spans_percent: quotas.spans_per_month.map(|quota| percent(usage.spans, quota.get())),
            bytes_percent: quotas.bytes_per_month.map(|quota| percent(usage.bytes, quota.get())),
        }
    }

    /// The value of the header `spillway-quota`, such as `spans=83%`, where a quota is nearly used up.
    pub fn warning(&self) -> Option<String> {
        let parts = [("spans", self.spans_percent), ("bytes", self.bytes_percent)];
        let near = parts.into_iter().filter_map(|(unit, percent)| Some((unit, percent?)));
        let near: Vec<_> = near
            .filter(|(_, percent)| *percent >= WARN_PERCENT)
            .map(|(unit, percent)| format!("{unit}={percent}%"))
            .collect();
        (!near.is_empty()).then(|| near.join(", "))
    }

    /// The metric that counts answers with a warning, where there is one.
    pub fn warning_metric(&self) -> Option<&'static str> {
        match self.spans_percent.max(self.bytes_percent) {
            Some(percent) if percent >= 100 => Some("quota.warned_100"),
            Some(percent) if percent >= WARN_PERCENT => Some("quota.warned_80"),
            _ => None,
        }
    }
}

/// Refuses a tenant that has stored its quota. The request that crosses the line is still stored whole: how many spans
/// it holds is not known yet, and no batch is taken in half.
pub fn check(quotas: &Quotas, usage: Usage, now: UnixMillis) -> Result<(), Rejection> {
    let of_spans = quotas.spans_per_month.map(|quota| ("spans", usage.spans, quota.get()));
    let of_bytes = quotas.bytes_per_month.map(|quota| ("bytes", usage.bytes, quota.get()));
    match [of_spans, of_bytes].into_iter().flatten().find(|(_, used, quota)| used >= quota) {
        Some((unit, _, quota)) => Err(Rejection::QuotaExceeded { unit, quota, resets_on: now.next_month() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas() -> Quotas {
        serde_json::from_str(r#"{"spans_per_month":100,"bytes_per_month":1000}"#).unwrap()
    }

    #[test]
    fn a_quota_holds_until_it_is_used_up() {
        let now = UnixMillis(1_795_230_245_678);
        for (spans, bytes, message) in [
            (99, 999, None),
            (100, 0, Some("the monthly quota of 100 spans is used up; it begins anew on 2026-12-01 (UTC)")),
            (
                0,
                1_000,
                Some("the monthly quota of 1000 bytes is used up; it begins anew on 2026-12-01 (UTC)"),
            ),
        ] {
            let refused = check(&quotas(), Usage { spans, bytes }, now).err().map(|error| error.to_string());
            assert_eq!(refused.as_deref(), message);
        }
        assert!(check(&Quotas::default(), Usage { spans: u64::MAX, bytes: u64::MAX }, now).is_ok());
    }

    #[test]
    fn it_warns_from_80_percent_on() {
        let warning = |spans, bytes| {
            let state = QuotaState::of(&quotas(), Usage { spans, bytes });
            (state.warning(), state.warning_metric())
        };
        assert_eq!(warning(79, 799), (None, None));
        assert_eq!(warning(80, 0), (Some("spans=80%".to_owned()), Some("quota.warned_80")));
        assert_eq!(warning(105, 900), (Some("spans=105%, bytes=90%".to_owned()), Some("quota.warned_100")));
    }
}
