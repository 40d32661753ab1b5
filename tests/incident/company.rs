//! The zone of a monitoring company, and what it can do about the incident.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};
use spillway_zone::route::Route;
use spillway_zone::rules::Rules;
use spillway_zone::ruleset::{Phase, Rule};

pub const ZONE: &str = "example.com";
pub const HOST: &str = "ingest.example.com";
/// The path that the Worker is routed on.
const WORKERS_PATH: &str = "/v1/traces";
/// A path of its own for notifications, as seemed natural.
pub const OWN_PATH: &str = "/internal/notify";

/// What is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fix {
    /// Nothing: notifications have a path of their own.
    None,
    /// They go by the Worker's path.
    WorkersPath,
    /// The zone has the skip rule of deploy/terraform.
    SkipRule,
    /// Both of that.
    Both,
    /// They go through a Cloudflare Queue, not through the zone.
    Queue,
}

impl Fix {
    pub const ALL: [Self; 5] = [Self::None, Self::WorkersPath, Self::SkipRule, Self::Both, Self::Queue];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::WorkersPath => "the Worker's path",
            Self::SkipRule => "the skip rule",
            Self::Both => "both",
            Self::Queue => "Queue",
        }
    }

    pub fn notify_path(self) -> &'static str {
        match self {
            Self::None | Self::SkipRule | Self::Queue => OWN_PATH,
            Self::WorkersPath | Self::Both => WORKERS_PATH,
        }
    }

    /// The company's own rules; with the skip rule, within the very Terraform that is shipped.
    pub fn rules(self) -> Result<Rules> {
        let own: Company = serde_json::from_str(include_str!("company.json"))?;
        if matches!(self, Self::SkipRule | Self::Both) {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/terraform");
            let own: Value = serde_json::from_str(include_str!("company.json"))?;
            let values = json!({
                "account_id": "0123456789abcdef0123456789abcdef", "zone_id": "fedcba9876543210fedcba9876543210",
                "zone_name": ZONE, "plan": "business", "ingest_host": HOST, "notify_path": self.notify_path(),
                "origin": { "type": "CNAME", "content": "tunnel.cfargotunnel.com" },
                "custom_rules_after": own["custom_rules"], "rate_limit_rules_after": own["rate_limit_rules"],
            });
            let values: BTreeMap<_, _> = serde_json::from_value(values)?;
            return Rules::terraform(&folder, &values);
        }
        let rules = Rules { rulesets: Vec::new(), routes: routes(), ..Rules::default() };
        Ok(rules.with_last(Phase::Custom, own.custom_rules).with_last(Phase::RateLimit, own.rate_limit_rules))
    }
}

/// The ingest host is the Worker's.
pub fn routes() -> Vec<Route> {
    vec![Route { pattern: format!("{HOST}/*"), script: Some("spillway-edge-ingest".to_owned()) }]
}

#[derive(Deserialize)]
struct Company {
    custom_rules: Vec<Rule>,
    rate_limit_rules: Vec<Rule>,
}
