//! The simulator by hand: `zone --help`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use spillway_zone::finding::{Findings, one_line, read_text};
use spillway_zone::firewall::{FirewallError, Switches};
use spillway_zone::record;
use spillway_zone::route::Route;
use spillway_zone::rules::{Rules, variable};
use spillway_zone::ruleset::Product;
use spillway_zone::subrequests::Mode;
use spillway_zone::terraform::TerraformError;
use spillway_zone::terraform::values::{self, Values};
use spillway_zone::zone::{Zone, ZoneOptions};

/// Simulates a Cloudflare zone in front of a Worker and an origin, until Ctrl-C.
///
/// Rules come from Terraform, from JSON as Cloudflare's API has it, or from both. Clients can say who they are to be taken for,
/// by the headers zone-client-ip, zone-client-country, zone-client-asn and zone-client-bot-score. Whatever runs the Worker sends
/// the Worker's own requests to the second address that is printed, with the URL that was asked for in the header zone-url
/// (deploy/local/edge/outbound.mjs does). There, `GET /zone/report` tells what became of all requests, and
/// `PUT /zone/subrequests/MODE` changes their way.
///
/// What is not simulated is refused, before an address is listened on: each block, argument and meta-argument of Terraform,
/// each field of JSON, and each field, function and value of a rule that is neither evaluated nor known to leave requests
/// alone. Each is one line on standard error:
///
///   zone: FILE:LINE: ADDRESS: what is refused, why, and what may stand there instead
///
/// Values for Terraform's variables come from TF_VAR_NAME of the environment, from terraform.tfvars and *.auto.tfvars of the
/// folder, from --var-file and from --var; a later one replaces an earlier one.
///
/// Exit codes: 0 ended by Ctrl-C; 1 something is refused, or an address or a file cannot be had; 2 the command line is wrong.
#[derive(Parser)]
#[command(name = "zone", version, verbatim_doc_comment)]
struct Arguments {
    /// The zone's name, such as example.com.
    #[arg(long)]
    name: String,
    /// A folder of Terraform whose cloudflare_ruleset and cloudflare_workers_route are evaluated, and of DNS records, the zone and
    /// the Worker those arguments that decide whether requests meet the rules. Resource types without effect on requests
    /// (buckets, queues and others) are passed over; all other types are refused.
    #[arg(long, value_name = "FOLDER")]
    terraform: Option<PathBuf>,
    /// A value for a variable of it: JSON, else text.
    #[arg(long = "var", value_name = "NAME=VALUE", requires = "terraform")]
    variables: Vec<String>,
    /// Values for its variables, *.tfvars or *.tfvars.json.
    #[arg(long, value_name = "FILE", requires = "terraform")]
    var_file: Vec<PathBuf>,
    /// Rulesets as the API has them: one, a list, or an answer with `result`. An entry point replaces that of its phase.
    #[arg(long, value_name = "FILE")]
    ruleset: Vec<PathBuf>,
    /// One rule as the API takes it, such as deploy/terraform/skip-rule.json; `position.index` says where it goes.
    #[arg(long, value_name = "FILE")]
    rule: Vec<PathBuf>,
    /// A pattern that requests go to the Worker by, such as ingest.example.com/*.
    #[arg(long, value_name = "PATTERN")]
    route: Vec<String>,
    /// Where clients come to.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the Worker runs.
    #[arg(long, value_name = "URL")]
    worker: String,
    /// Where the origin is.
    #[arg(long, value_name = "URL")]
    origin: String,
    /// Which way the Worker's requests to its own zone go.
    #[arg(long, value_enum, default_value = "straight")]
    subrequests: Mode,
    /// For the mixture.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Managed rules are on, and refuse what this expression holds for.
    #[arg(long, value_name = "EXPRESSION")]
    managed_rules: Option<String>,
    /// Super Bot Fight Mode is on, and challenges what this expression holds for.
    #[arg(long, value_name = "EXPRESSION", num_args = 0..=1, default_missing_value = "cf.bot_management.score lt 30")]
    super_bot_fight_mode: Option<String>,
    /// Bot Fight Mode of the free plan is on, which nothing skips, and challenges what this expression holds for.
    #[arg(long, value_name = "EXPRESSION", num_args = 0..=1, default_missing_value = "cf.bot_management.score lt 30")]
    bot_fight_mode: Option<String>,
    /// Browser Integrity Check is on: it refuses what has no user agent.
    #[arg(long)]
    browser_integrity_check: bool,
    /// The security level is "I'm under attack": every visitor is challenged.
    #[arg(long)]
    under_attack: bool,
}

impl Arguments {
    fn rules(&self) -> Result<Rules> {
        let mut values = match &self.terraform {
            Some(folder) => values::automatic(folder, std::env::vars_os())?,
            None => Values::new(),
        };
        for file in &self.var_file {
            values.extend(values::of_file(file)?);
        }
        for given in &self.variables {
            let (name, value) = variable(given)?;
            values.insert(name, value);
        }
        let mut findings = Findings::default();
        let mut rules = Rules::default();
        if let Some(folder) = &self.terraform {
            take(Rules::terraform(folder, &values), &mut rules, &mut findings)?;
        }
        for file in &self.ruleset {
            let Some(text) = read_text(file, &mut findings) else { continue };
            take(rules.clone().with_json(&file.display().to_string(), &text), &mut rules, &mut findings)?;
        }
        for file in &self.rule {
            let Some(text) = read_text(file, &mut findings) else { continue };
            take(rules.clone().with_rule(&file.display().to_string(), &text), &mut rules, &mut findings)?;
        }
        let mut rules = findings.or(rules)?;
        for pattern in &self.route {
            Route::check(pattern).map_err(anyhow::Error::msg)?;
        }
        let routes = self.route.iter().cloned();
        rules.routes.extend(routes.map(|pattern| Route { pattern, script: Some("worker".to_owned()) }));
        let mut findings = Findings::default();
        record::check(&rules.records, &rules.routes, &mut findings);
        Ok(findings.or(rules)?)
    }

    fn switches(&self) -> Switches {
        let mut products = Vec::new();
        if self.browser_integrity_check {
            products.push((Product::BrowserIntegrityCheck, "http.user_agent eq \"\"".to_owned()));
        }
        if self.under_attack {
            products.push((Product::SecurityLevel, "true".to_owned()));
        }
        Switches {
            managed: self.managed_rules.clone(),
            super_bot_fight_mode: self.super_bot_fight_mode.clone(),
            bot_fight_mode: self.bot_fight_mode.clone(),
            products,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error);
            ExitCode::FAILURE
        }
    }
}

/// Replaces `rules` by what was read of them, or adds to the findings, so that those of all files are told at once.
fn take(read: Result<Rules>, rules: &mut Rules, findings: &mut Findings) -> Result<()> {
    match read {
        Ok(read) => *rules = read,
        Err(error) => match found(&error) {
            Some(found) => findings.extend(found.clone()),
            None => return Err(error),
        },
    }
    Ok(())
}

/// The findings of an error, if that is what it is.
fn found(error: &anyhow::Error) -> Option<&Findings> {
    if let Some(TerraformError::Refused(findings)) = error.downcast_ref() {
        return Some(findings);
    }
    if let Some(FirewallError::Rules(findings)) = error.downcast_ref() {
        return Some(findings);
    }
    error.downcast_ref()
}

/// One line for each finding, and one for how many there are; of another error, the error.
fn tell(error: &anyhow::Error) {
    let Some(findings) = found(error) else { return eprintln!("zone: {}", one_line(&format!("{error:#}"))) };
    findings.iter().for_each(|finding| eprintln!("zone: {finding}"));
    let count = findings.count();
    eprintln!("zone: refused: {count} finding{}", if count == 1 { "" } else { "s" });
}

async fn run(arguments: Arguments) -> Result<()> {
    let options = ZoneOptions {
        rules: arguments.rules()?,
        switches: arguments.switches(),
        name: arguments.name,
        mode: arguments.subrequests,
        seed: arguments.seed,
        worker: arguments.worker.trim_end_matches('/').to_owned(),
        origin: arguments.origin.trim_end_matches('/').to_owned(),
    };
    let zone = Zone::start(options, arguments.listen).await?;
    eprintln!("zone: clients come to           {}", zone.url);
    eprintln!("zone: the Worker's requests to  {}", zone.subrequests_url);
    for ruleset in &zone.rules().rulesets {
        for (n, rule) in ruleset.rules.iter().enumerate() {
            let off = if rule.enabled { "" } else { "  (disabled)" };
            eprintln!("zone: {:28} {:>3} {}{off}", ruleset.phase.name(), n + 1, rule.label());
        }
    }
    for route in &zone.rules().routes {
        let leads_to =
            route.script.as_deref().map_or("the origin".to_owned(), |script| format!("the Worker {script}"));
        eprintln!("zone: {:28} {:>3} {} leads to {leads_to}", "route", "", route.pattern);
    }
    tokio::signal::ctrl_c().await?;
    eprintln!("{}", serde_json::to_string_pretty(&zone.report())?);
    Ok(())
}
