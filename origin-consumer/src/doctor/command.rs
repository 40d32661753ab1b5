//! The command line, what it prints, and how it ends.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use super::finding::{Finding, Level};
use super::{deployment, inside, live};
use crate::config::Config;
use crate::output;
use crate::time::now;

/// Examine a deployment: firewall rules, Worker, bucket, ledger, ClickHouse, and a probe through the edge
///
/// Each finding says what is so, why it matters, and what to do. Nothing is changed, but for the probe's one span.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct DoctorArgs {
    /// Look at these only
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',')]
    pub only: Vec<Part>,
    /// Show what is in order, too
    #[arg(long)]
    pub all: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

const HELP: &str = "\
Wants: cloudflare.account_id, cloudflare.zone_id and a token (SPILLWAY_CLOUDFLARE__DOCTOR_TOKEN) for the part `cloudflare`;
the consumer's configuration for `inside`; edge.url, notify.signing_keys and a key (SPILLWAY_EDGE__API_KEY) for `live`.

The token only reads. Of the one zone: Zone, Zone WAF, Transform Rules, Single Redirect, Firewall Services, Bot Management,
Zone Settings, Page Rules, Workers Routes; of the account: Workers Scripts, Workers R2 Storage, and, on an Enterprise plan,
Account WAF.
What it lacks is named.

Examples:
  origin-consumer doctor
  origin-consumer doctor --only cloudflare --json
  origin-consumer doctor --only live

Exit codes, by the gravest finding: 0 all is well, 3 a fault, 5 something could not be checked (and nothing is known to be
wrong), 4 warnings only; 1 nothing could be printed, 2 the command line or the configuration is wrong.";

/// A part of the examination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Part {
    /// The zone, the Worker and the bucket, by Cloudflare's API
    Cloudflare,
    /// The configuration, the ledger, ClickHouse, the bucket
    Inside,
    /// A probe from the edge to ClickHouse
    Live,
}

impl Part {
    const ALL: [Self; 3] = [Self::Cloudflare, Self::Inside, Self::Live];

    fn name(self) -> &'static str {
        match self {
            Self::Cloudflare => "cloudflare",
            Self::Inside => "inside",
            Self::Live => "live",
        }
    }
}

/// The findings could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// Nobody reads what it prints.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

#[derive(Serialize)]
struct Report {
    at: String,
    /// The gravest finding.
    level: Level,
    parts: BTreeMap<&'static str, Vec<Finding>>,
}

/// Examines, prints, and returns the exit code.
pub async fn run(config: &Config, arguments: &DoctorArgs) -> Result<u8, DoctorError> {
    let mut parts = if arguments.only.is_empty() { Part::ALL.to_vec() } else { arguments.only.clone() };
    parts.sort_unstable();
    parts.dedup();
    let mut examined = Vec::new();
    for part in parts {
        let findings = match part {
            Part::Cloudflare => deployment::examine(config).await,
            Part::Inside => inside::examine(config).await,
            Part::Live => live::examine(config).await,
        };
        examined.push((part, findings));
    }
    let levels = examined.iter().flat_map(|(_, findings)| findings).map(|finding| finding.level);
    let level = levels.max().unwrap_or(Level::Ok);
    if arguments.json {
        let parts = examined.into_iter().map(|(part, findings)| (part.name(), findings)).collect();
        let report = Report { at: now().date().to_rfc3339(), level, parts };
        output::text(&(output::json(&report)? + "\n"))?;
    } else {
        output::text(&shown(&examined, arguments.all))?;
    }
    Ok(exit_code(level))
}

fn exit_code(level: Level) -> u8 {
    match level {
        Level::Ok | Level::Note => 0,
        Level::Fault => 3,
        Level::Warning => 4,
        Level::Unchecked => 5,
    }
}

fn shown(examined: &[(Part, Vec<Finding>)], all: bool) -> String {
    let mut text = String::new();
    for (part, findings) in examined {
        let well = findings.iter().filter(|finding| finding.level == Level::Ok).count();
        text += &format!("{}: {well} of {} checks are in order\n", part.name(), findings.len());
        let mut findings: Vec<_> =
            findings.iter().filter(|finding| all || finding.level != Level::Ok).collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        for Finding { code, level, what, why, todo } in findings {
            text += &format!("\n  {} {code}\n    {what}\n", level.name().to_uppercase());
            for (name, line) in [("why", why), ("do", todo)] {
                if !line.is_empty() {
                    text += &format!("    {name}: {line}\n");
                }
            }
        }
        text += "\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_finding_comes_first_and_decides() {
        let findings = vec![
            Finding::ok("fine", "it is fine"),
            Finding::warning("loose", "it is loose", "it may fall", "fasten it"),
            Finding::fault("broken", "it is broken", "it does not hold", "mend it"),
        ];
        insta::assert_snapshot!(shown(&[(Part::Cloudflare, findings)], false), @r"
        cloudflare: 1 of 3 checks are in order

          FAULT broken
            it is broken
            why: it does not hold
            do: mend it

          WARNING loose
            it is loose
            why: it may fall
            do: fasten it
        ");
        let worst = [Level::Warning, Level::Unchecked, Level::Note].into_iter().max().unwrap();
        assert_eq!([worst, Level::Note, Level::Fault, Level::Warning].map(exit_code), [5, 0, 3, 4]);
    }
}
