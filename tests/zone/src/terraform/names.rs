//! The blocks and arguments that may stand in a configuration: those that are evaluated, and those that cannot change which
//! rules a request meets or which Worker takes it. Everything else is refused by its name.

use hcl_edit::structure::{Attribute, Block, Body, Structure};

use super::evaluate::Frame;
use super::scope::{Resource, Scope, blocks, label};
use super::source::Source;
use crate::finding::{Findings, Origin};

/// Blocks of the top level without effect, of which nothing is read.
const BLOCKS_WITHOUT_EFFECT: &[&str] = &[
    // How the provider is reached. Rules are evaluated for one zone, which their own `zone_id` names.
    "provider",
    // What Terraform prints.
    "output",
    // What the provider knows. Where something evaluated depends on it, that is refused.
    "data",
    "ephemeral",
    // Warns, and stops nothing.
    "check",
    // Change what Terraform remembers, and not what it applies.
    "import",
    "moved",
];

/// Of `variable`: evaluated are `type`, `default` and `nullable`; the others say how Terraform shows and keeps the value.
const VARIABLE: &[&str] =
    &["type", "default", "nullable", "description", "sensitive", "ephemeral", "deprecated"];

/// Of `validation` and `precondition`.
const CONDITION: &[&str] = &["condition", "error_message"];

/// The versions of Terraform that may apply it.
const TERRAFORM: &[&str] = &["required_version"];

/// `required_providers` is checked; the others say where Terraform keeps its state, and what it tells the provider of itself.
const TERRAFORM_BLOCKS: &[&str] = &["required_providers", "backend", "cloud", "provider_meta"];

/// Of each resource that is evaluated: `count` and `for_each` are. The order of `depends_on`, and whose credentials `provider`
/// takes, change nothing of what is applied.
const META: &[&str] = &["count", "for_each", "depends_on", "provider"];

/// Whether Terraform may destroy a resource, and in which order it replaces it.
const LIFECYCLE: &[&str] = &["create_before_destroy", "prevent_destroy", "replace_triggered_by"];

/// `precondition` is evaluated. `postcondition` is checked after the rules are in force.
const LIFECYCLE_BLOCKS: &[&str] = &["precondition", "postcondition"];

/// What is evaluated of a resource type.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Evaluated.
    arguments: &'static [&'static str],
    /// For people.
    without_effect: &'static [&'static str],
    /// Evaluated.
    blocks: &'static [&'static str],
}

/// Terraform's provider 4 has `rules` as blocks, and `script_name` for the Worker; provider 5 has `rules` as an argument, and
/// `script`.
pub(super) const RULESET: Kind = Kind {
    name: "cloudflare_ruleset",
    arguments: &["zone_id", "kind", "phase", "rules"],
    without_effect: &["name", "description", "shareable_entitlement_name"],
    blocks: &["rules"],
};

const ROUTE_ARGUMENTS: &[&str] = &["zone_id", "pattern", "script", "script_name"];

pub(super) const ROUTE: Kind =
    Kind { name: "cloudflare_workers_route", arguments: ROUTE_ARGUMENTS, without_effect: &[], blocks: &[] };

/// Provider 4's first name of it.
pub(super) const FORMER_ROUTE: Kind =
    Kind { name: "cloudflare_worker_route", arguments: ROUTE_ARGUMENTS, without_effect: &[], blocks: &[] };

pub(super) const EVALUATED: &[Kind] = &[RULESET, ROUTE, FORMER_ROUTE];

/// Resources that rules and routes do not depend on; nothing but their provisioners is looked at. The simulator is told where
/// requests come to, where the Worker runs and where the origin is.
const RESOURCES_WITHOUT_EFFECT: &[&str] = &[
    // The zone itself, and names in it: requests come to the simulator by its own address.
    "cloudflare_zone",
    "cloudflare_zone_dnssec",
    "cloudflare_dns_record",
    "cloudflare_record",
    // Where the Worker stores.
    "cloudflare_r2_bucket",
    "cloudflare_r2_bucket_cors",
    "cloudflare_r2_bucket_event_notification",
    "cloudflare_r2_bucket_lifecycle",
    "cloudflare_r2_bucket_lock",
    "cloudflare_r2_bucket_sippy",
    "cloudflare_workers_kv",
    "cloudflare_workers_kv_namespace",
    "cloudflare_queue",
    "cloudflare_queue_consumer",
    "cloudflare_d1_database",
    "cloudflare_hyperdrive_config",
    // The Worker itself, which is run beside the simulator, and what starts it without a request.
    "cloudflare_worker",
    "cloudflare_worker_cron_trigger",
    "cloudflare_worker_script",
    "cloudflare_worker_secret",
    "cloudflare_worker_version",
    "cloudflare_workers_cron_trigger",
    "cloudflare_workers_deployment",
    "cloudflare_workers_script",
    "cloudflare_workers_secret",
    // The way from Cloudflare to the origin.
    "cloudflare_tunnel",
    "cloudflare_tunnel_config",
    "cloudflare_zero_trust_tunnel_cloudflared",
    "cloudflare_zero_trust_tunnel_cloudflared_config",
    "cloudflare_origin_ca_certificate",
    // Certificates of the zone: exporters' connections are taken for TLS.
    "cloudflare_certificate_pack",
    "cloudflare_total_tls",
    // Accounts, tokens, and what Cloudflare reports.
    "cloudflare_account",
    "cloudflare_account_member",
    "cloudflare_account_token",
    "cloudflare_api_token",
    "cloudflare_healthcheck",
    "cloudflare_logpush_job",
    "cloudflare_logpush_ownership_challenge",
    "cloudflare_notification_policy",
    "cloudflare_notification_policy_webhooks",
    // Values and files that Terraform keeps.
    "local_file",
    "local_sensitive_file",
    "null_resource",
    "random_bytes",
    "random_id",
    "random_integer",
    "random_password",
    "random_pet",
    "random_string",
    "random_uuid",
    "terraform_data",
    "time_rotating",
    "time_sleep",
    "time_static",
    "tls_cert_request",
    "tls_private_key",
    "tls_self_signed_cert",
];

/// Arguments of these that take the zone out of the way of requests.
const WITH_EFFECT: &[(&str, &str)] = &[("cloudflare_zone", "paused")];

/// Finds everything in a file that is neither evaluated nor without effect.
pub(super) fn check<'a>(source: &'a Source, scope: &Scope<'a>, findings: &mut Findings) {
    let mut walk = Walk { source, findings };
    for structure in &source.body {
        match structure {
            Structure::Attribute(argument) => {
                walk.refuse(
                    &origin(source, argument),
                    "",
                    &format!("the argument `{}`", argument.key.as_str()),
                    "",
                );
            }
            Structure::Block(block) => walk.top_level(block, scope),
        }
    }
}

/// Where an argument begins.
pub(super) fn origin(source: &Source, argument: &Attribute) -> Origin {
    // Within a block of one line, the parser gives the value a place only.
    if hcl_edit::Span::span(argument).is_some() {
        source.origin(argument)
    } else {
        source.origin(&argument.value)
    }
}

struct Walk<'a, 'f> {
    source: &'a Source,
    findings: &'f mut Findings,
}

impl<'a> Walk<'a, '_> {
    fn refuse(&mut self, origin: &Origin, address: &str, what: &str, right: &str) {
        let message = format!("{what} is not evaluated{}{right}", if right.is_empty() { "" } else { "; " });
        self.findings.add(Some(origin), address, message);
    }

    fn top_level(&mut self, block: &'a Block, scope: &Scope<'a>) {
        let name = block.ident.as_str();
        let labels = match name {
            "resource" => 2,
            "variable" => 1,
            "locals" | "terraform" => 0,
            _ => block.labels.len(),
        };
        if block.labels.len() != labels {
            let message = format!("the block `{name}` has labels: {}; it takes {labels}", block.labels.len());
            return self.findings.add(Some(&self.source.origin(block)), "", message);
        }
        match name {
            "variable" => {
                let address = format!("var.{}", label(block, 0));
                self.body(&block.body, &address, VARIABLE, &["validation"]);
                blocks(&block.body, "validation")
                    .for_each(|check| self.body(&check.body, &address, CONDITION, &[]));
            }
            "locals" => self.nested_blocks(&block.body, "locals", &[]),
            "terraform" => self.terraform(block, scope),
            "resource" => self.resource(block),
            name if BLOCKS_WITHOUT_EFFECT.contains(&name) => self.provisioners(block, &described(block)),
            // What was evaluated, and may stay in the zone without being written here.
            "removed" => {
                self.provisioners(block, "removed");
                let from =
                    block.body.get_attribute("from").map_or("", |from| self.source.text_of(&from.value));
                if EVALUATED.iter().any(|kind| from.starts_with(&format!("{}.", kind.name))) {
                    let right = "what it leaves in the zone is not known";
                    self.refuse(
                        &self.source.origin(block),
                        "",
                        &format!("the block `removed` of `{from}`"),
                        right,
                    );
                }
            }
            "module" => {
                let right = "write the module's resources into this folder";
                self.refuse(
                    &self.source.origin(block),
                    "",
                    &format!("the block `{}`", described(block)),
                    right,
                );
            }
            _ => {
                self.refuse(&self.source.origin(block), "", &format!("the block `{}`", described(block)), "")
            }
        }
    }

    fn terraform(&mut self, block: &'a Block, scope: &Scope<'a>) {
        self.body(&block.body, "terraform", TERRAFORM, TERRAFORM_BLOCKS);
        for providers in blocks(&block.body, "required_providers") {
            let Some(cloudflare) = providers.body.get_attribute("cloudflare") else { continue };
            let value = scope.evaluate(&cloudflare.value, &Frame::of(self.source));
            let source = value.as_ref().ok().and_then(|value| value.get("source"));
            let source = source.and_then(|source| source.value.as_text()).unwrap_or("cloudflare/cloudflare");
            if source != "cloudflare/cloudflare" && !source.ends_with("/cloudflare/cloudflare") {
                let right = "resources are those of cloudflare/cloudflare";
                let what = format!("the provider `{source}`");
                self.refuse(&self.source.origin(&cloudflare.value), "terraform", &what, right);
            }
        }
    }

    fn resource(&mut self, block: &'a Block) {
        let resource = Resource { source: self.source, block };
        let address = resource.address();
        self.provisioners(block, &address);
        let Some(kind) = EVALUATED.iter().find(|kind| kind.name == label(block, 0)) else {
            if !RESOURCES_WITHOUT_EFFECT.contains(&label(block, 0)) {
                let what = format!("the resource type `{}`", label(block, 0));
                let right = "it is not known to leave requests alone";
                self.refuse(&self.source.origin(block), &address, &what, right);
            }
            for argument in block.body.attributes() {
                let name = argument.key.as_str();
                if WITH_EFFECT.contains(&(label(block, 0), name)) && argument.value.as_bool() != Some(false) {
                    self.refuse(
                        &origin(self.source, argument),
                        &address,
                        &format!("the argument `{name}`"),
                        "write false",
                    );
                }
            }
            return;
        };
        let arguments = [kind.arguments, kind.without_effect, META].concat();
        self.body(
            &block.body,
            &address,
            &arguments,
            &[kind.blocks, &["lifecycle", "provisioner", "connection"]].concat(),
        );
        for lifecycle in blocks(&block.body, "lifecycle") {
            let address = format!("{address}.lifecycle");
            self.body(&lifecycle.body, &address, LIFECYCLE, LIFECYCLE_BLOCKS);
            blocks(&lifecycle.body, "precondition")
                .for_each(|check| self.body(&check.body, &address, CONDITION, &[]));
        }
    }

    /// They run commands, which may do anything to the zone.
    fn provisioners(&mut self, block: &'a Block, address: &str) {
        for inner in block.body.blocks() {
            let runs = match inner.ident.as_str() {
                "provisioner" | "connection" => Some(described(inner)),
                "lifecycle" => blocks(&inner.body, "action_trigger").next().map(described),
                _ => None,
            };
            if let Some(runs) = runs {
                self.refuse(&self.source.origin(inner), address, &format!("the block `{runs}`"), "");
            }
        }
    }

    /// Refuses all arguments and blocks but these.
    fn body(&mut self, body: &'a Body, address: &str, arguments: &[&str], allowed: &[&str]) {
        for argument in body.attributes().filter(|argument| !arguments.contains(&argument.key.as_str())) {
            let name = argument.key.as_str();
            let right = match name {
                "account_id" => {
                    "account rulesets are not simulated; the rules of a zone have `zone_id`".to_owned()
                }
                "ignore_changes" => {
                    "what is in the zone would not be what is written here; leave it out".to_owned()
                }
                _ => format!("what may stand here: {}", arguments.join(", ")),
            };
            self.refuse(&origin(self.source, argument), address, &format!("the argument `{name}`"), &right);
        }
        self.nested_blocks(body, address, allowed);
    }

    fn nested_blocks(&mut self, body: &'a Body, address: &str, allowed: &[&str]) {
        for block in body.blocks().filter(|block| !allowed.contains(&block.ident.as_str())) {
            let right = if block.ident.as_str() == "dynamic" {
                format!("write the blocks `{}` one by one, or an argument with `for`", label(block, 0))
            } else {
                String::new()
            };
            let what = format!("the block `{}`", described(block));
            self.refuse(&self.source.origin(block), address, &what, &right);
        }
    }
}

/// A block with its labels, as it is written.
pub(super) fn described(block: &Block) -> String {
    let labels = block.labels.iter().map(|label| format!(" \"{}\"", label.as_str()));
    format!("{}{}", block.ident.as_str(), labels.collect::<String>())
}
