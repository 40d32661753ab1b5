//! The zone, the Worker and the bucket, as Cloudflare's API tells of them.

use std::time::Duration;

use reqwest::Url;

use super::api::{
    AccessRule, Api, BotManagement, Domain, Lifecycle, Lockdown, PageRule, Permission, Route, Schedules,
    SecurityHeader, Setting, UserAgentRule, WorkerSettings, Zone, unread,
};
use super::before::{self, Before};
use super::finding::Finding;
use super::phases::{self, Phase};
use super::redirects::{self, Exporters};
use super::skip_rule::{self, Notifications};
use super::worker::{self, Destination};
use super::{expression, lifecycle};
use crate::cloudflare::{ApiError, with_causes};
use crate::config::Config;

const CUSTOM_RULES: &str = "http_request_firewall_custom";

/// Examines all of it.
pub async fn examine(config: &Config) -> Vec<Finding> {
    if let Err(error) = config.cloudflare.check_zone() {
        let why = "the zone is examined by Cloudflare's API";
        let todo = "set it, or leave this part out by --only";
        return vec![Finding::unchecked("not_configured", error.to_string(), why, todo)];
    }
    let api = match Api::new(&config.cloudflare) {
        Ok(api) => api,
        Err(error) => {
            let what = format!("there is no client for the API: {}", with_causes(&error));
            return vec![Finding::unchecked("api_unread", what, "", "see cloudflare.api_url")];
        }
    };
    let mut examination = Examination { config, api, findings: Vec::new() };
    examination.run().await;
    examination.findings
}

struct Examination<'a> {
    config: &'a Config,
    api: Api,
    findings: Vec<Finding>,
}

impl Examination<'_> {
    async fn run(&mut self) {
        let zone = self.zone().await;
        let worker = self.worker_settings().await;
        self.lifecycle().await;
        let Some((zone, plan)) = zone else { return };
        let destination = self.destination(worker.as_ref());
        let url = match &destination {
            Destination::Http(url) => url.parse::<Url>().ok(),
            Destination::Elsewhere | Destination::Unknown => None,
        };
        self.routes(&zone, url.as_ref()).await;
        let exporters = Exporters::of(&self.config.edge.url, url.as_ref(), &zone);
        let notifications = url.map(|url| Notifications { url, zone: zone.clone() });
        self.redirects(exporters.as_ref(), notifications.as_ref()).await;
        match (destination, notifications) {
            (_, Some(notifications)) => {
                self.notify_url(&notifications.url, &zone).await;
                self.firewall(&notifications, &plan).await;
            }
            (Destination::Elsewhere, _) => self.findings.push(Finding::note(
                "notifications_avoid_the_zone",
                "the Worker notifies by a queue or a binding, and not by HTTP",
                "the zone's firewall is not in the way of notifications, so its rules are not examined",
            )),
            _ => self.findings.push(Finding::unchecked(
                "notify_url_unknown",
                "where the Worker sends notifications is not known",
                "the rules can be examined for a given host and path only",
                "set cloudflare.notify_url, or edge.url, or let the token read the Worker's settings",
            )),
        }
    }

    /// The zone's name and plan.
    async fn zone(&mut self) -> Option<(String, String)> {
        let configured = &self.config.cloudflare.zone_name;
        match self.api.of_zone::<Zone>(&[]).await {
            Ok(Some(zone)) => {
                if !configured.is_empty() && *configured != zone.name {
                    self.findings.push(Finding::fault(
                        "another_zone",
                        format!(
                            "cloudflare.zone_id is of the zone {}, and cloudflare.zone_name is {configured}",
                            zone.name
                        ),
                        "one of both is wrong, and the skip rule is examined for the zone of the id",
                        "correct cloudflare.zone_id or cloudflare.zone_name",
                    ));
                }
                if zone.paused {
                    self.findings.push(Finding::fault(
                        "zone_paused",
                        format!("the zone {} is paused", zone.name),
                        "no Worker runs in a paused zone: exporters' requests go to the origin",
                        "end the pause in the dashboard",
                    ));
                }
                Some((zone.name, zone.plan.legacy_id))
            }
            Ok(None) => {
                self.findings.push(Finding::fault(
                    "zone_missing",
                    "there is no zone of the id cloudflare.zone_id",
                    "nothing of it can be examined",
                    "take the zone id from the zone's overview in the dashboard",
                ));
                None
            }
            Err(error) => {
                self.findings.push(unread("the zone's name and plan", Permission::Zone, &error));
                (!configured.is_empty()).then(|| (configured.clone(), String::new()))
            }
        }
    }

    async fn worker_settings(&mut self) -> Option<WorkerSettings> {
        let worker = &self.config.cloudflare.worker;
        match self.api.of_account::<WorkerSettings>(&["workers", "scripts", worker, "settings"]).await {
            Ok(Some(settings)) => {
                let wanted = self.config.cloudflare.global_fetch_strictly_public;
                self.findings.extend(worker::judge_settings(&settings, wanted, &self.config.s3.bucket));
                let schedules =
                    self.api.of_account::<Schedules>(&["workers", "scripts", worker, "schedules"]).await;
                self.findings.push(match schedules {
                    Ok(schedules) => worker::judge_schedules(&schedules.unwrap_or_default()),
                    Err(error) => unread("the Worker's cron triggers", Permission::WorkersScripts, &error),
                });
                Some(settings)
            }
            Ok(None) => {
                self.findings.push(Finding::fault(
                    "worker_missing",
                    format!("the account has no Worker `{worker}` (cloudflare.worker)"),
                    "exporters' requests go to the origin, which refuses them",
                    "deploy it (docs/edge.md, \"Deployment\"), or correct cloudflare.worker",
                ));
                None
            }
            Err(error) => {
                self.findings.push(unread("the Worker's settings", Permission::WorkersScripts, &error));
                None
            }
        }
    }

    /// What the Worker says; else what the configuration says.
    fn destination(&self, worker: Option<&WorkerSettings>) -> Destination {
        let of_worker = worker.map_or(Destination::Unknown, worker::destination);
        let (notify_url, edge) = (&self.config.cloudflare.notify_url, &self.config.edge.url);
        match of_worker {
            Destination::Unknown if !notify_url.is_empty() => Destination::Http(notify_url.clone()),
            Destination::Unknown if !edge.is_empty() => {
                Destination::Http(format!("{}/v1/traces", edge.trim_end_matches('/')))
            }
            known => known,
        }
    }

    async fn routes(&mut self, zone: &str, notify: Option<&Url>) {
        let routes = match self.api.of_zone::<Vec<Route>>(&["workers", "routes"]).await {
            Ok(routes) => routes.unwrap_or_default(),
            Err(error) => {
                return self.findings.push(unread("the zone's routes", Permission::WorkersRoutes, &error));
            }
        };
        let edge = format!("{}/v1/traces", self.config.edge.url.trim_end_matches('/')).parse().ok();
        let worker = &self.config.cloudflare.worker;
        self.findings.extend(worker::judge_routes(&routes, worker, edge.as_ref(), notify, zone));
    }

    async fn notify_url(&mut self, url: &Url, zone: &str) {
        let finding = match self.api.of_account::<Vec<Domain>>(&["workers", "domains"]).await {
            Ok(domains) => worker::judge_notify_url(url, zone, &domains.unwrap_or_default()),
            Err(error) => unread("the account's Custom Domains", Permission::WorkersScripts, &error),
        };
        self.findings.push(finding);
    }

    /// What answers exporters, or notifications, with a redirect.
    async fn redirects(&mut self, exporters: Option<&Exporters>, notifications: Option<&Notifications>) {
        let always = self.api.of_zone::<Setting>(&["settings", "always_use_https"]).await;
        self.judged(always, "Always Use HTTPS", Permission::ZoneSettings, |setting| {
            setting.map(|setting| redirects::judge_always_https(&setting, exporters)).into_iter().collect()
        });
        let header = self.api.of_zone::<SecurityHeader>(&["settings", "security_header"]).await;
        self.judged(header, "HSTS", Permission::ZoneSettings, |header| {
            header.map(|header| redirects::judge_hsts(&header)).into_iter().collect()
        });
        let rules = self.api.phase_of_zone(Before::Redirects.name()).await;
        self.judged(rules, "the Single Redirects", Before::Redirects.permission(), |rules| {
            let of_exporters = exporters.map(|exporters| redirects::judge_rules(&rules, exporters));
            let of_notifications = notifications.map(|known| before::judge(Before::Redirects, &rules, known));
            [of_exporters, of_notifications].into_iter().flatten().flatten().collect()
        });
        if let Some(exporters) = exporters {
            let rules = self.api.of_zone::<Vec<PageRule>>(&["pagerules"]).await;
            self.judged(rules, "the Page Rules", Permission::PageRules, |rules| {
                redirects::judge_page_rules(&rules.unwrap_or_default(), exporters)
            });
        }
        self.findings.push(Finding::note(
            "bulk_redirects_unread",
            "Bulk Redirects, which belong to the account, are not read",
            "they may redirect exporters, too; the part `live` asks for http:// itself, and says what it was answered",
        ));
    }

    /// The phases in the order in which a request meets them.
    async fn firewall(&mut self, notifications: &Notifications, plan: &str) {
        let rules = self.api.phase_of_zone(Before::Rewrites.name()).await;
        self.judged(rules, "the URL Rewrite Rules", Before::Rewrites.permission(), |rules| {
            before::judge(Before::Rewrites, &rules, notifications)
        });
        self.access_rules().await;
        self.account_rules(notifications, plan).await;
        let rules = match self.api.phase_of_zone(CUSTOM_RULES).await {
            Ok(rules) => rules,
            Err(error) => {
                return self.findings.push(unread("the zone's custom rules", Permission::ZoneWaf, &error));
            }
        };
        let walk = skip_rule::walk(&rules, notifications);
        self.findings.extend(walk.findings);
        let cover = walk.cover;
        for phase in Phase::ALL {
            let judged = match self.api.phase_of_zone(phase.name()).await {
                Ok(rules) => phases::judge(phase, &rules, &cover, notifications),
                Err(error) => {
                    vec![unread(&format!("the phase {}", phase.name()), Permission::ZoneWaf, &error)]
                }
            };
            self.findings.extend(judged);
        }
        let bots = self.api.of_zone::<BotManagement>(&["bot_management"]).await;
        self.judged(bots, "the zone's bot settings", Permission::BotManagement, |bots| {
            phases::judge_bots(&bots.unwrap_or_default(), &cover, plan)
        });
        for (name, what, judge) in [
            ("security_level", "the security level", phases::judge_security_level as fn(&_, &_) -> _),
            ("browser_check", "the Browser Integrity Check", phases::judge_browser_check),
        ] {
            let setting = self.api.of_zone::<Setting>(&["settings", name]).await;
            self.judged(setting, what, Permission::ZoneSettings, |setting: Option<Setting>| {
                setting.map(|setting| judge(&setting, &cover)).into_iter().collect()
            });
        }
        let lockdowns = self.api.list_of_zone::<Lockdown>(&["firewall", "lockdowns"]).await;
        self.judged(lockdowns, "Zone Lockdown", Permission::FirewallServices, |lockdowns| {
            phases::judge_lockdowns(&lockdowns, &cover, notifications)
        });
        let agents = self.api.list_of_zone::<UserAgentRule>(&["firewall", "ua_rules"]).await;
        self.judged(agents, "User Agent Blocking", Permission::FirewallServices, |agents| {
            phases::judge_user_agents(&agents, &cover)
        });
    }

    fn judged<T>(
        &mut self,
        asked: Result<T, ApiError>,
        what: &str,
        permission: Permission,
        judge: impl FnOnce(T) -> Vec<Finding>,
    ) {
        let findings = match asked {
            Ok(answer) => judge(answer),
            Err(error) => vec![unread(what, permission, &error)],
        };
        self.findings.extend(findings);
    }

    /// They come before all rules of the firewall, and none skips them.
    async fn access_rules(&mut self) {
        let rules = self.api.list_of_zone::<AccessRule>(&["firewall", "access_rules", "rules"]).await;
        self.judged(rules, "the IP Access rules", Permission::FirewallServices, |rules| {
            let stops = |rule: AccessRule| {
                let AccessRule { mode, configuration, notes } = rule;
                let notes = notes.filter(|notes| !notes.is_empty()).map(|notes| format!(" (`{notes}`)"));
                let notes = notes.unwrap_or_default();
                Finding::warning(
                    "ip_access_rule",
                    format!("an IP Access rule{notes} does {mode} to {} {}", configuration.target, configuration.value),
                    "it comes before the custom rules, so no skip rule helps; a same-zone notification carries the address of the client whose trace it was",
                    "make it a custom rule behind the skip rule, if exporters send from there",
                )
            };
            let acts: Vec<_> = rules.into_iter().filter(|rule| rule.mode != "whitelist").map(stops).collect();
            if acts.is_empty() {
                return vec![Finding::ok("ip_access_rules", "no IP Access rule stops anybody")];
            }
            acts
        });
    }

    /// Those of the account come before those of the zone. Only Enterprise plans have them.
    async fn account_rules(&mut self, notifications: &Notifications, plan: &str) {
        let is_enterprise = plan == "enterprise";
        let rules = match self.api.phase_of_account(CUSTOM_RULES).await {
            Ok(rules) => rules,
            Err(error) if is_enterprise => {
                return self.findings.push(unread(
                    "the account's custom rules",
                    Permission::AccountWaf,
                    &error,
                ));
            }
            Err(_) => return,
        };
        let request = notifications.request();
        for (index, rule) in rules.iter().enumerate() {
            let concerns = rule
                .expression
                .parse::<expression::Expression>()
                .map_or(true, |expression| expression.matches(&request).is_possible());
            if rule.enabled && concerns && !["skip", "log", ""].contains(&rule.action.as_str()) {
                self.findings.push(Finding::warning(
                    "account_rule",
                    format!(
                        "the account's {} does `{}` with what matches `{}`",
                        skip_rule::shown(index + 1, rule),
                        rule.action,
                        rule.expression
                    ),
                    "the account's custom rules come before the zone's, so the zone's skip rule comes too late for them",
                    "let that rule leave out cf.worker.upstream_zone of this zone",
                ));
            }
        }
    }

    async fn lifecycle(&mut self) {
        let bucket = &self.config.s3.bucket;
        let asked = self.api.of_account::<Lifecycle>(&["r2", "buckets", bucket, "lifecycle"]).await;
        let finding = match asked {
            Ok(Some(lifecycle)) => {
                let audited =
                    Duration::from_secs(self.config.audit.after_seconds) + self.config.sweep.last_pass();
                let deleted = self.config.audit.delete_after_days;
                lifecycle::judge(&lifecycle, bucket, audited, deleted)
            }
            Ok(None) => vec![Finding::fault(
                "bucket_missing",
                format!("the account has no bucket `{bucket}` (s3.bucket)"),
                "the edge cannot store, or stores elsewhere",
                "make the bucket, or correct s3.bucket",
            )],
            Err(error) => vec![unread("the bucket's lifecycle", Permission::R2, &error)],
        };
        self.findings.extend(finding);
    }
}
