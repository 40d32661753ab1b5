//! Rulesets as Cloudflare's API has them: <https://developers.cloudflare.com/api/resources/rulesets/>. Terraform's attributes have
//! the same names. The types hold what is simulated and nothing else; [`read`] reads them, and names what it refuses.

mod fields;
pub mod read;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::finding::Origin;

/// When a ruleset is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Custom rules.
    #[serde(rename = "http_request_firewall_custom")]
    Custom,
    /// Rate limiting rules.
    #[serde(rename = "http_ratelimit")]
    RateLimit,
    /// Managed rules.
    #[serde(rename = "http_request_firewall_managed")]
    Managed,
    /// Super Bot Fight Mode.
    #[serde(rename = "http_request_sbfm")]
    SuperBotFightMode,
}

impl Phase {
    /// All that are simulated, in the order in which a request meets them.
    pub const ORDER: [Self; 4] = [Self::Custom, Self::RateLimit, Self::Managed, Self::SuperBotFightMode];

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Custom => "http_request_firewall_custom",
            Self::RateLimit => "http_ratelimit",
            Self::Managed => "http_request_firewall_managed",
            Self::SuperBotFightMode => "http_request_sbfm",
        }
    }
}

/// A list of rules: the entry point of a phase, or one that a rule executes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ruleset {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// For people.
    #[serde(default, deserialize_with = "null_is_default")]
    pub description: String,
    /// `zone` for the entry point of a zone's phase; `custom` or `managed` for one that a rule executes.
    pub kind: String,
    /// When it is evaluated.
    pub phase: Phase,
    /// Counted up by Cloudflare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// In RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<String>,
    /// In the order in which they are evaluated.
    #[serde(default, deserialize_with = "null_is_default")]
    pub rules: Vec<Rule>,
    /// Where it is written.
    #[serde(skip)]
    pub origin: Option<Origin>,
}

impl Ruleset {
    /// The entry point of a zone's phase, with these rules.
    pub fn entry_point(phase: Phase, rules: Vec<Rule>) -> Self {
        Self {
            id: None,
            name: "default".to_owned(),
            description: String::new(),
            kind: "zone".to_owned(),
            phase,
            version: None,
            last_updated: None,
            rules,
            origin: None,
        }
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Counted up by Cloudflare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// A name that stays while the rule changes.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whom it matches.
    pub expression: String,
    /// What happens then.
    pub action: Action,
    /// The action's parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_parameters: Option<ActionParameters>,
    /// Whether it is evaluated at all.
    #[serde(default = "yes", deserialize_with = "null_is_yes")]
    pub enabled: bool,
    /// Whether matches are logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// The limit, in the phase `http_ratelimit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratelimit: Option<RateLimit>,
    /// When it was changed, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<String>,
    /// Where it is written.
    #[serde(skip)]
    pub origin: Option<Origin>,
}

impl Rule {
    /// What a report calls it: its reference, else its description, else its expression.
    pub fn label(&self) -> &str {
        self.reference.as_deref().or(self.description.as_deref()).unwrap_or(&self.expression)
    }

    /// The id of the ruleset that it executes.
    pub(crate) fn executes(&self) -> Option<&str> {
        let parameters = self.action_parameters.as_ref().filter(|_| self.action == Action::Execute)?;
        parameters.id.as_deref()
    }
}

/// What happens to a request that a rule matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is refused.
    Block,
    /// A visitor with a browser may pass, after a captcha. A program does not.
    Challenge,
    /// A visitor with a browser may pass.
    JsChallenge,
    /// A visitor with a browser may pass, as Cloudflare chooses.
    ManagedChallenge,
    /// Nothing, but it is noted.
    Log,
    /// What the parameters name is not evaluated.
    Skip,
    /// The ruleset that the parameters name is evaluated.
    Execute,
    /// An action that is not simulated. Only a rule that is disabled may have it.
    #[serde(untagged)]
    Other(String),
}

/// The parameters of `skip`, `execute` and `block`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionParameters {
    /// `current`: the rest of this ruleset is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruleset: Option<String>,
    /// `current`: the rest of this phase is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Phases that are skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phases: Option<Vec<Phase>>,
    /// Products outside of the rulesets that are skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub products: Option<Vec<Product>>,
    /// Rulesets that are skipped, by their ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rulesets: Option<Vec<String>>,
    /// Rules that are skipped, by the id of their ruleset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<BTreeMap<String, Vec<String>>>,
    /// The ruleset that is executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What of the executed ruleset is changed. No ruleset whose rules are known is simulated with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrides: Option<serde_json::Value>,
    /// What a blocked request is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<BlockResponse>,
}

/// A product that is no ruleset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Product {
    /// Zone Lockdown.
    #[serde(rename = "zoneLockdown")]
    ZoneLockdown,
    /// User Agent Blocking.
    #[serde(rename = "uaBlock")]
    UserAgentBlocking,
    /// Browser Integrity Check.
    #[serde(rename = "bic")]
    BrowserIntegrityCheck,
    /// Hotlink Protection.
    #[serde(rename = "hot")]
    HotlinkProtection,
    /// Security Level.
    #[serde(rename = "securityLevel")]
    SecurityLevel,
    /// Rate limits of the former kind.
    #[serde(rename = "rateLimit")]
    FormerRateLimits,
    /// Managed rules of the former kind.
    #[serde(rename = "waf")]
    FormerManagedRules,
}

/// What a blocked request is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockResponse {
    /// Between 400 and 499.
    pub status_code: u16,
    /// The body.
    pub content: String,
    /// Its type.
    pub content_type: String,
}

/// Whether matches are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logging {
    /// They are.
    pub enabled: bool,
}

/// A rate limit: <https://developers.cloudflare.com/waf/rate-limiting-rules/parameters/>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Requests that have the same values in these are counted together.
    pub characteristics: Vec<String>,
    /// Seconds.
    pub period: u32,
    /// More requests than these in a period start the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_period: Option<u64>,
    /// For so many seconds the action then holds for all; 0: for those over the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mitigation_timeout: Option<u32>,
    /// What is counted; empty or missing: what the rule matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counting_expression: Option<String>,
    /// Whether what the cache answers is left out. The simulated zone caches nothing, so it makes no difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_to_origin: Option<bool>,
    /// Instead of requests: the sum of what the origin says that they cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_per_period: Option<u64>,
    /// Where the origin says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_response_header_name: Option<String>,
}

fn yes() -> bool {
    true
}

fn null_is_yes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(true))
}

fn null_is_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_says_is_read_and_written_unchanged() {
        let text = serde_json::json!({
            "id": "a1", "name": "default", "description": "", "kind": "zone", "version": "3",
            "phase": "http_request_firewall_custom", "last_updated": "2026-11-01T00:00:00Z",
            "rules": [{
                "id": "b2", "version": "1", "ref": "b2", "expression": "true", "action": "skip", "enabled": false,
                "action_parameters": {
                    "ruleset": "current", "phases": ["http_ratelimit", "http_request_sbfm"], "products": ["bic", "waf"]
                },
                "logging": { "enabled": true }, "last_updated": "2026-11-01T00:00:00Z",
            }],
        });
        let ruleset: Ruleset = serde_json::from_value(text.clone()).expect("a ruleset");
        assert_eq!(ruleset.phase, Phase::Custom);
        assert_eq!(serde_json::to_value(&ruleset).expect("JSON"), text);
    }

    #[test]
    fn a_field_that_is_not_simulated_is_refused() {
        let rule =
            serde_json::json!({ "expression": "true", "action": "block", "exposed_credential_check": {} });
        let error = serde_json::from_value::<Rule>(rule).expect_err("an unknown field").to_string();
        assert!(error.contains("exposed_credential_check"), "{error}");
    }

    #[test]
    fn what_terraform_leaves_out_is_null_or_missing() {
        let rule = serde_json::json!({ "expression": "true", "action": "block", "enabled": null, "ratelimit": null });
        let rule: Rule = serde_json::from_value(rule).expect("a rule");
        assert!(rule.enabled && rule.ratelimit.is_none());
    }
}
