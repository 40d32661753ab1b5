//! From when to when.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use spillway_proto::UnixMillis;

use crate::keys::times::{Span, moment};

/// A moment, or a time before now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// This moment.
    At(DateTime<Utc>),
    /// So long ago.
    Ago(TimeDelta),
}

impl When {
    /// The moment, counted from `now`; nothing is before 1970.
    pub fn moment(self, now: UnixMillis) -> UnixMillis {
        match self {
            Self::At(moment) => UnixMillis(u64::try_from(moment.timestamp_millis()).unwrap_or_default()),
            Self::Ago(span) => {
                let span = u64::try_from(span.num_milliseconds()).unwrap_or_default();
                UnixMillis(now.0.saturating_sub(span))
            }
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ago = |_| text.parse().map(|Span(span)| Self::Ago(span));
        moment(text).map(Self::At).or_else(ago).map_err(|_: String| {
            "must be a time such as 2026-11-20T08:00:00Z, or how long ago it was, such as 90m, 2h or 1d"
                .to_owned()
        })
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(moment) => f.write_str(&moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            Self::Ago(span) => write!(f, "{}s ago", span.num_seconds()),
        }
    }
}

/// From one moment to another, the second excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// The first moment within.
    pub from: UnixMillis,
    /// The first moment behind it.
    pub until: UnixMillis,
}

impl TimeRange {
    /// Whether it holds the moment.
    pub fn contains(self, at: UnixMillis) -> bool {
        self.from <= at && at < self.until
    }

    /// Whether it holds no moment.
    pub fn is_empty(self) -> bool {
        self.until <= self.from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_moment_or_so_long_ago() {
        let now = UnixMillis(1_795_230_245_678);
        let at = |text: &str| text.parse::<When>().map(|when| when.moment(now).0);
        assert_eq!(at("2h"), Ok(now.0 - 7_200_000));
        assert_eq!(at("1d"), Ok(now.0 - 86_400_000));
        assert_eq!(at("2026-11-21T04:04:05.678+01:00"), Ok(1_795_230_245_678));
        assert_eq!(at("1900-01-01T00:00:00Z"), Ok(0));
        assert_eq!(at("36500d"), Ok(0));
        for bad in ["", "yesterday", "2026-11-21", "2", "-2h"] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shows_what_was_asked_for() {
        for (text, shown) in [("2h", "7200s ago"), ("2026-11-21T04:00:00+01:00", "2026-11-21T03:00:00Z")] {
            assert_eq!(text.parse::<When>().unwrap().to_string(), shown);
        }
    }
}
