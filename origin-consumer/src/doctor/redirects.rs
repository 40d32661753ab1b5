//! What answers exporters with a redirect before the Worker is called.
//!
//! OTLP has none (<https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>), and exporters treat one in ways of their own: Python's
//! takes 301, 302, 307 and 308 for success and does not follow, so that everything it sends is lost without a word.

use reqwest::Url;

use super::api::{PageRule, Rule, SecurityHeader, Setting};
use super::expression::{Expression, Request, Truth};
use super::finding::{Finding, Level};
use super::phases::glob;
use super::skip_rule::shown;
use super::worker::is_of_zone;

/// Why a redirect matters.
pub(super) const WHY: &str = "Python's exporter takes a redirect (301, 302, 307, 308) for success and does not follow it, so that everything it sends is lost without a word; others drop it with an error";
/// What to do about those that only `http://` meets.
pub(super) const REMEDY: &str = "let every exporter's endpoint begin with https://";

/// What exporters send to, and with which scheme the configuration says that they do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exporters {
    /// Host and path; the scheme is replaced where both are of interest.
    url: Url,
    /// Whether `edge.url` begins with `http://`: then exporters of this deployment are redirected, and not only those that somebody
    /// may configure so.
    is_plain: bool,
}

impl Exporters {
    /// By `edge.url`; else by the Worker's own path, `worker`, where notifications go. Only what is of the zone.
    pub fn of(edge_url: &str, worker: Option<&Url>, zone: &str) -> Option<Self> {
        let configured = format!("{}/v1/traces", edge_url.trim_end_matches('/')).parse::<Url>().ok();
        let is_plain = configured.as_ref().is_some_and(|url| url.scheme() == "http");
        let url = configured.or_else(|| worker.cloned()).filter(|url| is_of_zone(url, zone))?;
        Some(Self { url, is_plain })
    }

    /// Host and path.
    fn address(&self) -> String {
        format!("{}{}", self.url.host_str().unwrap_or_default(), self.url.path())
    }

    fn with(&self, scheme: &str) -> Url {
        // Both are special schemes, so one can stand for the other.
        let mut url = self.url.clone();
        let _ = url.set_scheme(scheme);
        url
    }

    /// How bad it is that requests by HTTP are redirected.
    fn level_of_plain(&self) -> Level {
        if self.is_plain { Level::Fault } else { Level::Warning }
    }
}

/// `always_use_https`.
pub fn judge_always_https(setting: &Setting, exporters: Option<&Exporters>) -> Finding {
    let code = "always_use_https";
    if setting.value != "on" {
        return Finding::ok(code, "Always Use HTTPS is off");
    }
    let address = exporters.map_or_else(|| "any host of the zone".to_owned(), Exporters::address);
    let what = format!("Always Use HTTPS is on: what is sent to http://{address} is answered 301");
    plain(code, what, exporters)
}

/// `security_header`.
pub fn judge_hsts(header: &SecurityHeader) -> Finding {
    let code = "hsts";
    let hsts = &header.value.strict_transport_security;
    if !hsts.enabled || hsts.max_age == 0 {
        return Finding::ok(code, "the zone sends no Strict-Transport-Security");
    }
    Finding::note(
        code,
        format!("the zone sends Strict-Transport-Security (max-age {})", hsts.max_age),
        "browsers then go to https:// by themselves; no other exporter heeds it, so it does not help one whose endpoint begins with http://",
    )
}

/// Single Redirects.
pub fn judge_rules(rules: &[Rule], exporters: &Exporters) -> Vec<Finding> {
    let truth = |rule: &Rule, scheme: &str| match rule.expression.parse::<Expression>() {
        Ok(expression) => expression.matches(&Request::export(&exporters.with(scheme))),
        Err(_) => Truth::Unknown,
    };
    let redirects = rules.iter().enumerate().filter(|(_, rule)| rule.enabled && rule.action == "redirect");
    let found = redirects.filter_map(|(index, rule)| {
        let which = format!("{} of http_request_dynamic_redirect", shown(index + 1, rule));
        let (encrypted, plain) = (truth(rule, "https"), truth(rule, "http"));
        redirected(
            &format!("{which}, which redirects what matches `{}`,", rule.expression),
            exporters,
            encrypted,
            plain,
        )
    });
    or_none(found.collect(), "no Single Redirect concerns exporters")
}

/// Page Rules. Of those that match, the first one counts; each is named here.
pub fn judge_page_rules(rules: &[PageRule], exporters: &Exporters) -> Vec<Finding> {
    let matches = |rule: &PageRule, scheme: &str| {
        let targets = rule.targets.iter().filter(|target| target.target == "url");
        let mut patterns = targets.map(|target| target.constraint.value.as_str());
        Truth::from(patterns.any(|pattern| {
            let (of_scheme, address) = pattern.split_once("://").unwrap_or(("*", pattern));
            glob(of_scheme, scheme) && glob(address, &exporters.address())
        }))
    };
    let active = rules.iter().filter(|rule| rule.status != "disabled");
    let found = active.filter_map(|rule| {
        let action = rule
            .actions
            .iter()
            .find(|action| ["always_use_https", "forwarding_url"].contains(&action.id.as_str()))?;
        let patterns: Vec<_> = rule.targets.iter().map(|target| target.constraint.value.as_str()).collect();
        let which =
            format!("the Page Rule for `{}`, whose action is `{}`,", patterns.join("`, `"), action.id);
        let encrypted = if action.id == "forwarding_url" { matches(rule, "https") } else { Truth::False };
        redirected(&which, exporters, encrypted, matches(rule, "http"))
    });
    or_none(found.collect(), "no Page Rule redirects exporters")
}

/// What becomes of exporters whose endpoints have either scheme.
fn redirected(which: &str, exporters: &Exporters, encrypted: Truth, plain_http: Truth) -> Option<Finding> {
    let address = exporters.address();
    let code = "exporters_redirected";
    let unless = "let that rule leave out the ingest host";
    match (encrypted, plain_http) {
        (Truth::True, _) => Some(Finding::fault(
            code,
            format!("{which} matches what is sent to https://{address}"),
            WHY,
            unless,
        )),
        (Truth::Unknown, _) => Some(Finding::warning(
            code,
            format!("{which} may match what is sent to https://{address}"),
            WHY,
            unless,
        )),
        (Truth::False, Truth::False) => None,
        (Truth::False, _) => Some(plain(
            "http_redirected",
            format!("{which} matches what is sent to http://{address}"),
            Some(exporters),
        )),
    }
}

fn plain(code: &'static str, what: String, exporters: Option<&Exporters>) -> Finding {
    let level = exporters.map_or(Level::Warning, Exporters::level_of_plain);
    let todo = if level == Level::Fault {
        format!("let edge.url begin with https://, and {REMEDY}")
    } else {
        REMEDY.to_owned()
    };
    Finding { level, ..Finding::fault(code, what, WHY, todo) }
}

fn or_none(found: Vec<Finding>, none: &str) -> Vec<Finding> {
    if found.is_empty() { vec![Finding::ok("exporters_not_redirected", none)] } else { found }
}

#[cfg(test)]
mod tests {
    use super::super::api::{PageRuleAction, PageRuleConstraint, PageRuleTarget};
    use super::*;

    fn exporters(edge_url: &str) -> Option<Exporters> {
        let worker = "https://ingest.example.com/v1/traces".parse().unwrap();
        Exporters::of(edge_url, Some(&worker), "example.com")
    }

    #[test]
    fn exporters_send_where_the_configuration_says_else_where_the_worker_is() {
        let of = |edge_url| exporters(edge_url).map(|exporters| exporters.address());
        assert_eq!(of("").as_deref(), Some("ingest.example.com/v1/traces"));
        assert_eq!(of("https://otlp.example.com/").as_deref(), Some("otlp.example.com/v1/traces"));
        assert_eq!(of("https://otlp.example.org"), None, "another zone's");
        assert_eq!(Exporters::of("", None, "example.com"), None);
    }

    #[test]
    fn a_page_rule_holds_for_the_schemes_and_hosts_of_its_pattern() {
        let judged = |pattern: &str, action: &str| {
            let constraint = PageRuleConstraint { value: pattern.to_owned() };
            let target = PageRuleTarget { target: "url".to_owned(), constraint };
            let actions = vec![PageRuleAction { id: action.to_owned() }];
            let rule = PageRule { targets: vec![target], actions, status: "active".to_owned() };
            judge_page_rules(&[rule], &exporters("").unwrap()).remove(0).level
        };
        for (pattern, forwarding, to_https) in [
            ("*example.com/*", Level::Fault, Level::Warning),
            ("http://*.example.com/v1/*", Level::Warning, Level::Warning),
            ("https://ingest.example.com/*", Level::Fault, Level::Ok),
            ("http*://ingest.example.com/v1/traces", Level::Fault, Level::Warning),
            ("www.example.com/*", Level::Ok, Level::Ok),
        ] {
            assert_eq!(judged(pattern, "forwarding_url"), forwarding, "{pattern}");
            assert_eq!(judged(pattern, "always_use_https"), to_https, "{pattern}");
        }
        assert_eq!(judged("*example.com/*", "cache_level"), Level::Ok);
    }
}
