//! The blocks and arguments that may stand in a configuration: those that are evaluated, and those that cannot change which
//! rules a request meets or which Worker takes it. Everything else is refused by its name.

use hcl_edit::structure::{Attribute, Block, Body, Structure};

use super::evaluate::Frame;
use super::scope::{Resource, Scope, blocks, label};
use super::source::Source;
use super::tables::{
    BLOCKS_WITHOUT_EFFECT, CONDITION, EVALUATED, LABELS, LIFECYCLE, LIFECYCLE_BLOCKS, META,
    RESOURCES_WITHOUT_EFFECT, TERRAFORM, TERRAFORM_BLOCKS, VARIABLE,
};
use crate::finding::{Findings, Origin};

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
        let is_known = ["locals", "terraform", "removed", "import", "moved"].contains(&name)
            || LABELS.iter().any(|(known, _)| *known == name);
        if is_known && block.labels.len() != labels_of(name) {
            let (found, right) = (block.labels.len(), labels_of(name));
            let message = format!("the block `{name}` has labels: {found}; it takes {right}");
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
        self.lifecycles(block, &address);
        let Some(kind) = EVALUATED.iter().find(|kind| kind.name == label(block, 0)) else {
            if !RESOURCES_WITHOUT_EFFECT.contains(&label(block, 0)) {
                let what = format!("the resource type `{}`", label(block, 0));
                let right = "it is not known to leave requests alone";
                self.refuse(&self.source.origin(block), &address, &what, right);
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

    /// Terraform takes one, without labels.
    fn lifecycles(&mut self, block: &'a Block, address: &str) {
        for (n, lifecycle) in blocks(&block.body, "lifecycle").enumerate() {
            self.labels(lifecycle, address);
            if n > 0 {
                let message = "the block `lifecycle` stands twice";
                self.findings.add(Some(&self.source.origin(lifecycle)), address, message);
            }
        }
    }

    /// Refuses a nested block with other labels than it takes.
    fn labels(&mut self, block: &'a Block, address: &str) {
        let name = block.ident.as_str();
        if block.labels.len() != labels_of(name) {
            let right = match labels_of(name) {
                0 => "none".to_owned(),
                right => right.to_string(),
            };
            let message = format!("the block `{}` has labels; `{name}` has {right}", described(block));
            self.findings.add(Some(&self.source.origin(block)), address, message);
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
        for block in body.blocks() {
            if allowed.contains(&block.ident.as_str()) {
                self.labels(block, address);
                continue;
            }
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

fn labels_of(name: &str) -> usize {
    LABELS.iter().find(|(known, _)| *known == name).map_or(0, |(_, labels)| *labels)
}

/// A block with its labels, as it is written.
pub(super) fn described(block: &Block) -> String {
    let labels = block.labels.iter().map(|label| format!(" \"{}\"", label.as_str()));
    format!("{}{}", block.ident.as_str(), labels.collect::<String>())
}
