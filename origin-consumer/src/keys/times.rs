//! Times as they are written on the command line: durations, moments, months.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use spillway_proto::UnixMillis;

/// The longest duration: whoever wants more wants `never`.
const LONGEST_DAYS: i64 = 36_500;

/// A length of time: `90d`, `24h`, `0s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub TimeDelta);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "must be a number with s, m, h, d or w, such as 90d".to_owned();
        let unit_at = text.len() - text.chars().next_back().map_or(0, char::len_utf8);
        let (number, unit) = text.split_at(unit_at);
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 7 * 86_400,
            _ => return Err(expected()),
        };
        let number: u32 = number.parse().map_err(|_| expected())?;
        let span = TimeDelta::seconds(i64::from(number) * seconds);
        if span.num_days() > LONGEST_DAYS {
            return Err(format!("must be {LONGEST_DAYS}d at most"));
        }
        Ok(Self(span))
    }
}

/// When a key ends: at a moment, after a time, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expires {
    /// At this moment.
    At(DateTime<Utc>),
    /// So long from now.
    After(TimeDelta),
    /// Not by itself.
    Never,
}

impl Expires {
    /// The moment, counted from `now`.
    pub fn moment(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::At(moment) => Some(moment),
            Self::After(span) => now.checked_add_signed(span),
            Self::Never => None,
        }
    }
}

impl FromStr for Expires {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        moment(text).map(Self::At).or_else(|_| text.parse().map(|Span(span)| Self::After(span))).map_err(|_| {
            format!("must be a time such as 2027-01-31T00:00:00Z, a duration of at most {LONGEST_DAYS}d such as 90d, or never")
        })
    }
}

/// A moment as RFC 3339 writes it.
pub fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    let moment = DateTime::parse_from_rfc3339(text);
    moment.map(|moment| moment.to_utc()).map_err(|_| "must be a time such as 2027-01-31T00:00:00Z".to_owned())
}

/// A UTC month: `2027-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month(UnixMillis);

impl Month {
    /// The month of a moment.
    pub fn of(now: UnixMillis) -> Self {
        Self(now)
    }

    /// As the edge is asked for it.
    pub fn name(self) -> String {
        self.0.month()
    }

    /// The day on which the next one begins, as `YYYY-MM-DD`.
    pub fn ends_on(self) -> String {
        self.0.next_month()
    }
}

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let first = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").ok();
        let first = first.filter(|_| text.len() == "YYYY-MM".len());
        let midnight = first.and_then(|day| day.and_hms_opt(0, 0, 0));
        let millis = midnight.and_then(|midnight| u64::try_from(midnight.and_utc().timestamp_millis()).ok());
        millis
            .map(|millis| Self(UnixMillis(millis)))
            .ok_or_else(|| "must be a month such as 2027-01".to_owned())
    }
}

/// A moment of our clock, in whole seconds.
pub fn date(at: UnixMillis) -> DateTime<Utc> {
    let seconds = i64::try_from(at.0 / 1000).unwrap_or(i64::MAX);
    DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// As tables show it.
pub fn shown(moment: Option<DateTime<Utc>>) -> String {
    moment.map_or_else(|| "-".to_owned(), |moment| moment.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        let seconds = |text: &str| text.parse::<Span>().map(|Span(span)| span.num_seconds());
        assert_eq!(seconds("0s"), Ok(0));
        assert_eq!(seconds("5m"), Ok(300));
        assert_eq!(seconds("24h"), Ok(86_400));
        assert_eq!(seconds("90d"), Ok(90 * 86_400));
        assert_eq!(seconds("2w"), Ok(14 * 86_400));
        for bad in
            ["", "d", "90", "-1d", "1.5h", "90 d", "90D", "1ü", "36501d", "4294967295w", "99999999999s"]
        {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_ends_at_a_moment_after_a_time_or_never() {
        let now = moment("2026-11-20T10:00:00+01:00").unwrap();
        let ends = |text: &str| text.parse::<Expires>().map(|expires| shown(expires.moment(now)));
        assert_eq!(ends("2027-01-31T00:00:00Z").as_deref(), Ok("2027-01-31T00:00:00Z"));
        assert_eq!(ends("90d").as_deref(), Ok("2027-02-18T09:00:00Z"));
        assert_eq!(ends("never").as_deref(), Ok("-"));
        for bad in ["", "tomorrow", "2027-01-31", "2027-01-31T00:00:00"] {
            assert!(ends(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn months_are_of_the_calendar() {
        let month: Month = "2026-12".parse().unwrap();
        assert_eq!((month.name().as_str(), month.ends_on().as_str()), ("2026-12", "2027-01-01"));
        for bad in ["", "2026", "2026-13", "2026-1", "12-2026", "2026-12-01", "1969-12", "2026-12 "] {
            assert!(bad.parse::<Month>().is_err(), "{bad}");
        }
    }
}
