//! The Worker: its flags, its variables and bindings, its routes.

use reqwest::Url;

use super::api::{Binding, Domain, Route, Schedules, WorkerSettings};
use super::finding::Finding;
use super::phases::glob;

const STRICTLY_PUBLIC: &str = "global_fetch_strictly_public";

/// Where the Worker says that notifications go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// By HTTP, first or as the fallback.
    Http(String),
    /// By a queue or a binding only.
    Elsewhere,
    /// It does not say.
    Unknown,
}

/// Reads it from the Worker's variables.
pub fn destination(settings: &WorkerSettings) -> Destination {
    let variable = |name| text_of(settings, name);
    if variable("NOTIFY_TRANSPORT").is_none_or(|transport| transport == "http") {
        return variable("NOTIFY_URL").map_or(Destination::Unknown, |url| Destination::Http(url.to_owned()));
    }
    match (variable("NOTIFY_FALLBACK"), variable("NOTIFY_FALLBACK_URL")) {
        (Some("http"), Some(url)) => Destination::Http(url.to_owned()),
        (Some("http"), None) => Destination::Unknown,
        _ => Destination::Elsewhere,
    }
}

fn binding<'a>(settings: &'a WorkerSettings, name: &str) -> Option<&'a Binding> {
    settings.bindings.iter().find(|binding| binding.name == name)
}

fn text_of<'a>(settings: &'a WorkerSettings, name: &str) -> Option<&'a str> {
    binding(settings, name)?.text.as_deref().filter(|text| !text.is_empty())
}

/// Flags, secrets and buckets. `wanted` is whether the configuration says that the flag is on.
pub fn judge_settings(settings: &WorkerSettings, wanted: bool, bucket: &str) -> Vec<Finding> {
    let is_on = settings.compatibility_flags.iter().any(|flag| flag == STRICTLY_PUBLIC);
    let mut findings = Vec::new();
    findings.push(match (is_on, wanted) {
        (true, false) => Finding::fault(
            STRICTLY_PUBLIC,
            format!("the Worker has the compatibility flag {STRICTLY_PUBLIC}"),
            "with it, every notification goes through the zone's front door: all rules, all rate limits, and the Worker's own route",
            format!("remove the flag and deploy; if it is meant, set cloudflare.{STRICTLY_PUBLIC} = true"),
        ),
        (false, true) => Finding::warning(
            STRICTLY_PUBLIC,
            format!("the Worker does not have the compatibility flag {STRICTLY_PUBLIC}, and the configuration says that it has"),
            "same-zone requests take the other way than is written down",
            format!("set cloudflare.{STRICTLY_PUBLIC} = false"),
        ),
        (is_on, _) => {
            let state = if is_on { "on, as configured" } else { "off" };
            Finding::ok(STRICTLY_PUBLIC, format!("the Worker's compatibility flag {STRICTLY_PUBLIC} is {state}"))
        }
    });
    match binding(settings, "NOTIFY_SIGNING_KEY") {
        Some(key) if key.kind == "plain_text" => findings.push(Finding::fault(
            "signing_key_in_the_open",
            "NOTIFY_SIGNING_KEY is a plain variable of the Worker, and not a secret",
            "whoever may read the Worker's settings can sign notifications",
            "delete the variable, make a new key, and set it by `wrangler secret put NOTIFY_SIGNING_KEY`",
        )),
        Some(_) => {}
        None => findings.push(Finding::fault(
            "signing_key_missing",
            "the Worker has no NOTIFY_SIGNING_KEY",
            "without it the Worker answers every exporter with 503",
            "wrangler secret put NOTIFY_SIGNING_KEY",
        )),
    }
    match binding(settings, "OBJECTS").map(|objects| objects.bucket_name.as_deref().unwrap_or_default()) {
        Some(name) if name != bucket => findings.push(Finding::fault(
            "another_bucket",
            format!(
                "the Worker stores in the bucket `{name}`, and the consumer reads `{bucket}` (s3.bucket)"
            ),
            "nothing that the edge accepts is found",
            "let both name the same bucket",
        )),
        Some(_) => {}
        None => findings.push(Finding::fault(
            "bucket_missing",
            "the Worker has no bucket as OBJECTS",
            "without it the Worker answers every exporter with 503",
            "bind the bucket (edge-ingest/wrangler.jsonc)",
        )),
    }
    findings
}

/// The canary's cron trigger.
pub fn judge_schedules(schedules: &Schedules) -> Finding {
    match schedules.schedules.first() {
        Some(schedule) => Finding::ok(
            "canary_trigger",
            format!("the Worker's canary has a cron trigger ({})", schedule.cron),
        ),
        None => Finding::warning(
            "canary_trigger",
            "the Worker has no cron trigger",
            "without the canary, a change of the route is noticed only while exporters send",
            "add `\"triggers\": { \"crons\": [\"* * * * *\"] }` as in edge-ingest/wrangler.jsonc, and deploy",
        ),
    }
}

/// The routes of the zone, for what exporters ask and for what the Worker notifies.
pub fn judge_routes(
    routes: &[Route],
    worker: &str,
    edge: Option<&Url>,
    notify: Option<&Url>,
    zone: &str,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let of_worker: Vec<_> = routes.iter().filter(|route| route.script.as_deref() == Some(worker)).collect();
    if of_worker.is_empty() {
        findings.push(Finding::fault(
            "route_missing",
            format!("no route of the zone {zone} leads to the Worker `{worker}` (cloudflare.worker)"),
            "exporters' requests go to the origin, which refuses them",
            "add the route; deploy/terraform has it",
        ));
    }
    for route in &of_worker {
        let pattern = &route.pattern;
        findings.push(match route.request_limit_fail_open {
            Some(true) => Finding::fault(
                "route_fails_open",
                format!("the route `{pattern}` fails open"),
                "once the plan's quota is spent, exporters' requests go to the origin unread; it answers 503, and the Worker's checks are gone",
                "set the route's failure mode to fail closed: in the dashboard, Workers Routes, Edit; by the API, `request_limit_fail_open: false`",
            ),
            Some(false) => Finding::ok("route_fails_closed", format!("the route `{pattern}` fails closed")),
            None => Finding::note(
                "route_failure_mode_untold",
                format!("the API does not tell whether the route `{pattern}` fails closed"),
                "only the free plan has a quota of requests to be spent; the dashboard shows it under Workers Routes, Edit",
            ),
        });
    }
    for (url, whose) in [(edge, "what exporters send (edge.url)"), (notify, "NOTIFY_URL")] {
        let Some(url) = url.filter(|url| is_of_zone(url, zone)) else { continue };
        findings.extend(judge_way(routes, worker, url, whose));
    }
    findings
}

fn judge_way(routes: &[Route], worker: &str, url: &Url, whose: &str) -> Option<Finding> {
    let address = format!("{}{}", url.host_str().unwrap_or_default(), url.path());
    let plain = |pattern: &str| pattern.split_once("://").map_or(pattern, |(_, rest)| rest).to_owned();
    // The most specific pattern wins: <https://developers.cloudflare.com/workers/configuration/routing/routes/#matching-behavior>
    let fits = routes.iter().filter(|route| glob(&plain(&route.pattern), &address));
    let route = fits.max_by_key(|route| plain(&route.pattern).trim_matches('*').len());
    match route {
        Some(route) if route.script.as_deref() == Some(worker) => None,
        Some(route) => Some(Finding::fault(
            "route_of_another_worker",
            format!(
                "{whose}, {address}, is routed to {} by `{}`, and not to `{worker}`",
                route
                    .script
                    .as_deref()
                    .map_or_else(|| "no Worker".to_owned(), |script| format!("`{script}`")),
                route.pattern
            ),
            "the more specific pattern wins",
            "change the pattern, or the Worker of that route",
        )),
        None if whose == "NOTIFY_URL" => Some(Finding::warning(
            "notify_url_off_the_route",
            format!("{whose}, {address}, is not on the path that the Worker is routed on"),
            "that path is the one way that the platform has kept apart from the front door for same-zone requests; others went through the firewall first",
            "let NOTIFY_URL be the Worker's own path, such as https://ingest.example.com/v1/traces; the origin tells notifications by their content type",
        )),
        None => Some(Finding::fault(
            "route_misses_exporters",
            format!("no route holds for {whose}, {address}"),
            "exporters' requests go to the origin, which refuses them",
            "add the route; deploy/terraform has it",
        )),
    }
}

/// Whether the URL's host is the zone's.
pub fn is_of_zone(url: &Url, zone: &str) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == zone || host.strip_suffix(zone).is_some_and(|front| front.ends_with('.'))
}

/// Where notifications go, and what that means.
pub fn judge_notify_url(url: &Url, zone: &str, domains: &[Domain]) -> Finding {
    let host = url.host_str().unwrap_or_default();
    if let Some(domain) = domains.iter().find(|domain| domain.hostname == host) {
        return Finding::fault(
            "notify_url_is_a_custom_domain",
            format!("NOTIFY_URL's host {host} is a Custom Domain of the Worker `{}`", domain.service),
            "a Custom Domain answers same-zone requests by the Worker itself: notifications come back to it and never reach the origin",
            "use a route instead of the Custom Domain, or notify another host",
        );
    }
    if is_of_zone(url, zone) {
        return Finding::ok(
            "notify_url",
            format!("notifications go to {}{}, in the zone {zone}", host, url.path()),
        );
    }
    Finding::warning(
        "notify_url_in_another_zone",
        format!("NOTIFY_URL's host {host} is not of the zone {zone}"),
        "if Cloudflare serves that zone too, notifications go through its firewall always, and need a skip rule there; this one cannot see it",
        "let NOTIFY_URL be the path that the Worker is routed on",
    )
}
