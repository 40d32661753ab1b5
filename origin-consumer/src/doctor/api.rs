//! The parts of Cloudflare's API that the doctor reads. It writes nothing.
//!
//! <https://developers.cloudflare.com/api/>

use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::finding::Finding;
use crate::cloudflare::{ApiError, Cloudflare, CloudflareConfig, open};
use crate::retry;

/// The largest answer that is read, in bytes: an entry point of 1,000 rules of 4,096 characters takes half of it.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// Entries of one page of a list.
const PAGE: usize = 100;
/// Pages of one list; what is beyond is not looked at.
const MAX_PAGES: usize = 50;

/// A permission of an API token, as the dashboard names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Plan and name of the zone.
    Zone,
    /// Custom rules, rate limits and managed rules of the zone.
    ZoneWaf,
    /// Rewrites of URLs.
    TransformRules,
    /// Single Redirects.
    Redirects,
    /// IP Access rules, Zone Lockdown, User Agent Blocking.
    FirewallServices,
    /// Bot Fight Mode and Super Bot Fight Mode.
    BotManagement,
    /// Security Level, Browser Integrity Check, Always Use HTTPS, HSTS.
    ZoneSettings,
    /// Page Rules.
    PageRules,
    /// The Worker's routes.
    WorkersRoutes,
    /// The Worker's settings, its cron triggers, its Custom Domains.
    WorkersScripts,
    /// The bucket's lifecycle.
    R2,
    /// Rulesets of the account, which Enterprise plans may have.
    AccountWaf,
}

impl Permission {
    /// All of them, as the documents list them.
    pub const ALL: [Self; 12] = [
        Self::Zone,
        Self::ZoneWaf,
        Self::TransformRules,
        Self::Redirects,
        Self::FirewallServices,
        Self::BotManagement,
        Self::ZoneSettings,
        Self::PageRules,
        Self::WorkersRoutes,
        Self::WorkersScripts,
        Self::R2,
        Self::AccountWaf,
    ];

    /// As the dashboard shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zone => "Zone, Zone, Read",
            Self::ZoneWaf => "Zone, Zone WAF, Read",
            Self::TransformRules => "Zone, Transform Rules, Read",
            Self::Redirects => "Zone, Single Redirect, Read",
            Self::FirewallServices => "Zone, Firewall Services, Read",
            Self::BotManagement => "Zone, Bot Management, Read",
            Self::ZoneSettings => "Zone, Zone Settings, Read",
            Self::PageRules => "Zone, Page Rules, Read",
            Self::WorkersRoutes => "Zone, Workers Routes, Read",
            Self::WorkersScripts => "Account, Workers Scripts, Read",
            Self::R2 => "Account, Workers R2 Storage, Read",
            Self::AccountWaf => "Account, Account WAF, Read",
        }
    }
}

/// A zone.
#[derive(Debug, Clone, Deserialize)]
pub struct Zone {
    /// Its name, such as `example.com`.
    pub name: String,
    /// Whether Cloudflare only answers its DNS.
    #[serde(default)]
    pub paused: bool,
    /// What was bought.
    #[serde(default)]
    pub plan: Plan,
}

/// A zone's plan.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Plan {
    /// `free`, `pro`, `business` or `enterprise`.
    #[serde(default)]
    pub legacy_id: String,
}

/// A ruleset.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Ruleset {
    /// In the order in which they are evaluated.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Rule {
    /// Its id.
    #[serde(default)]
    pub id: String,
    /// What it does with what matches; a rule without an action does nothing.
    #[serde(default)]
    pub action: String,
    /// What it matches.
    #[serde(default)]
    pub expression: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Whether it is evaluated.
    #[serde(default = "is_on")]
    pub enabled: bool,
    /// How it acts.
    #[serde(default)]
    pub action_parameters: ActionParameters,
    /// Of a rate limit, what it counts.
    #[serde(default)]
    pub ratelimit: Option<RateLimit>,
}

/// What a rate limit counts.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct RateLimit {
    /// The requests that are counted, where they are others than those that the rule acts on.
    #[serde(default)]
    pub counting_expression: Option<String>,
}

fn is_on() -> bool {
    true
}

/// What a rule's action is told: those of a skip, and which ruleset is executed.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ActionParameters {
    /// `current`: the rest of this ruleset is skipped.
    pub ruleset: Option<String>,
    /// `current`: the rest of this phase is skipped.
    pub phase: Option<String>,
    /// Phases that are skipped.
    #[serde(default)]
    pub phases: Vec<String>,
    /// Products outside of the rulesets that are skipped.
    #[serde(default)]
    pub products: Vec<String>,
    /// Ids of managed rulesets that are skipped.
    #[serde(default)]
    pub rulesets: Vec<String>,
    /// The id of the ruleset that is executed.
    pub id: Option<String>,
}

impl ActionParameters {
    /// Whether a skip leaves out all rules behind it.
    pub fn skips_the_rest(&self) -> bool {
        [&self.ruleset, &self.phase].into_iter().any(|skipped| skipped.as_deref() == Some("current"))
    }
}

/// A route of a Worker.
#[derive(Debug, Clone, Deserialize)]
pub struct Route {
    /// Such as `ingest.example.com/v1/*`.
    pub pattern: String,
    /// The Worker; without one, the route switches Workers off.
    #[serde(default)]
    pub script: Option<String>,
    /// Whether requests go to the origin once the plan's quota of the Worker is spent. The published schema has left it
    /// out; the API gives it.
    #[serde(default)]
    pub request_limit_fail_open: Option<bool>,
}

/// A Worker's settings.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct WorkerSettings {
    /// Variables, secrets, and what else it has by name.
    #[serde(default)]
    pub bindings: Vec<Binding>,
    /// Its compatibility flags.
    #[serde(default)]
    pub compatibility_flags: Vec<String>,
}

/// Something that a Worker has by name.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Binding {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// `plain_text`, `secret_text`, `r2_bucket` and so on.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Of a variable, its content.
    pub text: Option<String>,
    /// Of a bucket, its name.
    pub bucket_name: Option<String>,
}

/// When a Worker is called without a request.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Schedules {
    /// Its cron triggers.
    #[serde(default)]
    pub schedules: Vec<Schedule>,
}

/// A cron trigger.
#[derive(Debug, Clone, Deserialize)]
pub struct Schedule {
    /// Such as `* * * * *`.
    pub cron: String,
}

/// A host that is a Worker's.
#[derive(Debug, Clone, Deserialize)]
pub struct Domain {
    /// Its name.
    pub hostname: String,
    /// The Worker.
    #[serde(default)]
    pub service: String,
}

/// What the zone does with bots.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct BotManagement {
    /// Bot Fight Mode.
    #[serde(default)]
    pub fight_mode: Option<bool>,
    /// Super Bot Fight Mode: `allow`, `block` or `managed_challenge`.
    #[serde(default)]
    pub sbfm_definitely_automated: Option<String>,
    /// As above.
    #[serde(default)]
    pub sbfm_likely_automated: Option<String>,
    /// As above.
    #[serde(default)]
    pub sbfm_verified_bots: Option<String>,
}

/// A setting of a zone whose value is a word.
#[derive(Debug, Clone, Deserialize)]
pub struct Setting {
    /// The word.
    pub value: String,
}

/// The setting `security_header`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct SecurityHeader {
    /// What it holds.
    pub value: SecurityHeaderValue,
}

/// What the setting `security_header` holds.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct SecurityHeaderValue {
    /// The header `Strict-Transport-Security`.
    #[serde(default)]
    pub strict_transport_security: Hsts,
}

/// HSTS.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Hsts {
    /// Whether the header is sent.
    #[serde(default)]
    pub enabled: bool,
    /// How long browsers remember it, in seconds.
    #[serde(default)]
    pub max_age: u64,
}

/// A Page Rule.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PageRule {
    /// Which URLs.
    #[serde(default)]
    pub targets: Vec<PageRuleTarget>,
    /// What is done to them.
    #[serde(default)]
    pub actions: Vec<PageRuleAction>,
    /// `active` or `disabled`.
    #[serde(default)]
    pub status: String,
}

/// What a Page Rule is about.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PageRuleTarget {
    /// `url`.
    #[serde(default)]
    pub target: String,
    /// Which.
    #[serde(default)]
    pub constraint: PageRuleConstraint,
}

/// Which URLs a Page Rule is about.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PageRuleConstraint {
    /// A pattern, in which `*` stands for anything; without a scheme, it holds for both.
    #[serde(default)]
    pub value: String,
}

/// What a Page Rule does.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PageRuleAction {
    /// Such as `always_use_https` or `forwarding_url`.
    #[serde(default)]
    pub id: String,
}

/// An IP Access rule.
#[derive(Debug, Clone, Deserialize)]
pub struct AccessRule {
    /// `block`, `challenge`, `js_challenge`, `managed_challenge` or `whitelist`.
    pub mode: String,
    /// Whom it is about.
    pub configuration: Target,
    /// For people.
    #[serde(default)]
    pub notes: Option<String>,
}

/// Whom a rule outside of the rulesets is about.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Target {
    /// `ip`, `ip_range`, `asn`, `country` or `ua`.
    #[serde(default)]
    pub target: String,
    /// Which.
    #[serde(default)]
    pub value: String,
}

/// A Zone Lockdown rule: only some addresses may ask for some URLs.
#[derive(Debug, Clone, Deserialize)]
pub struct Lockdown {
    /// Which URLs; `*` stands for anything.
    #[serde(default)]
    pub urls: Vec<String>,
    /// Whether it is off.
    #[serde(default)]
    pub paused: bool,
}

/// A User Agent Blocking rule.
#[derive(Debug, Clone, Deserialize)]
pub struct UserAgentRule {
    /// What it does.
    #[serde(default)]
    pub mode: String,
    /// Which user agent.
    #[serde(default)]
    pub configuration: Target,
    /// Whether it is off.
    #[serde(default)]
    pub paused: bool,
}

/// When a bucket forgets.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Lifecycle {
    /// Its rules.
    #[serde(default)]
    pub rules: Vec<LifecycleRule>,
}

/// One of a bucket's lifecycle rules.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LifecycleRule {
    /// Its name.
    #[serde(default)]
    pub id: String,
    /// Whether it holds.
    #[serde(default)]
    pub enabled: bool,
    /// Which objects it is about.
    #[serde(default)]
    pub conditions: LifecycleConditions,
    /// When it deletes them.
    #[serde(default)]
    pub delete_objects_transition: Option<Transition>,
}

/// Which objects a lifecycle rule is about.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct LifecycleConditions {
    /// Those whose keys begin with it.
    #[serde(default)]
    pub prefix: String,
}

/// When something is done to an object.
#[derive(Debug, Clone, Deserialize)]
pub struct Transition {
    /// Then.
    #[serde(default)]
    pub condition: Option<Condition>,
}

/// A time in a lifecycle rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type")]
pub enum Condition {
    /// So long after the object was stored.
    Age {
        /// In seconds.
        #[serde(rename = "maxAge")]
        max_age: u64,
    },
    /// On a day, whatever its age.
    Date {
        /// The day.
        date: String,
    },
}

/// A client for one zone and its account, which only reads.
pub struct Api {
    cloudflare: Cloudflare,
    zone_id: String,
}

impl Api {
    /// With the configured token; nothing is sent yet.
    pub fn new(config: &CloudflareConfig) -> Result<Self, reqwest::Error> {
        let timeout = Duration::from_secs(config.timeout_seconds);
        let cloudflare = Cloudflare::new(config, config.doctor_token(), timeout)?;
        Ok(Self { cloudflare, zone_id: config.zone_id.clone() })
    }

    /// Below the zone; nothing where the API says that there is no such thing.
    pub async fn of_zone<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Option<T>, ApiError> {
        self.get(&self.cloudflare.zone_url(&self.zone_id, path)).await
    }

    /// Below the account.
    pub async fn of_account<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Option<T>, ApiError> {
        self.get(&self.cloudflare.url(path)).await
    }

    /// All pages of a list below the zone.
    pub async fn list_of_zone<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Vec<T>, ApiError> {
        let mut all = Vec::new();
        for page in 1..=MAX_PAGES {
            let mut url = self.cloudflare.zone_url(&self.zone_id, path);
            url.query_pairs_mut()
                .append_pair("page", &page.to_string())
                .append_pair("per_page", &PAGE.to_string());
            let entries: Vec<T> = self.get(&url).await?.unwrap_or_default();
            let is_last = entries.len() < PAGE;
            all.extend(entries);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    /// The rules that a phase of the zone begins with; none where the phase has none.
    pub async fn phase_of_zone(&self, phase: &str) -> Result<Vec<Rule>, ApiError> {
        let ruleset: Option<Ruleset> = self.of_zone(&["rulesets", "phases", phase, "entrypoint"]).await?;
        Ok(ruleset.unwrap_or_default().rules)
    }

    /// The same of the account.
    pub async fn phase_of_account(&self, phase: &str) -> Result<Vec<Rule>, ApiError> {
        let ruleset: Option<Ruleset> = self.of_account(&["rulesets", "phases", phase, "entrypoint"]).await?;
        Ok(ruleset.unwrap_or_default().rules)
    }

    async fn get<T: DeserializeOwned>(&self, url: &Url) -> Result<Option<T>, ApiError> {
        let response = retry::send(|| self.cloudflare.request(Method::GET, url)).await?;
        match open(response, MAX_ANSWER_BYTES).await {
            Ok(answer) => Ok(answer.result),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// For what could not be read, with the permission that it wants.
pub fn unread(what: &str, permission: Permission, error: &ApiError) -> Finding {
    let name = permission.name();
    let (why, todo) = if error.status() == Some(StatusCode::UNAUTHORIZED) {
        (
            "the API does not know the token".to_owned(),
            format!("set cloudflare.doctor_token to a token that is active, and has the permission {name}"),
        )
    } else if error.is_denied() {
        (
            format!("the API token does not have the permission {name}, or not for this zone and account"),
            format!(
                "give the token of cloudflare.doctor_token (or cloudflare.api_token) the permission {name}"
            ),
        )
    } else {
        ("the API did not tell".to_owned(), "try again; see cloudflare.api_url".to_owned())
    };
    Finding::unchecked("api_unread", format!("{what} cannot be read: {error}"), why, todo)
}
