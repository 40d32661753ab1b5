//! What skip rules take away from a notification's way through the firewall.

use std::collections::BTreeSet;

use super::super::api::ActionParameters;

/// A part of the firewall that a skip rule can name.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// A phase, as the API calls it.
    Phase(&'a str),
    /// A product outside of the rulesets, as the API calls it.
    Product(&'a str),
}

/// What skip rules name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Skipped {
    phases: BTreeSet<String>,
    products: BTreeSet<String>,
}

impl Skipped {
    pub(super) fn add(&mut self, parameters: &ActionParameters) {
        self.phases.extend(parameters.phases.iter().cloned());
        self.products.extend(parameters.products.iter().cloned());
    }

    pub(super) fn has_all_of(&self, other: &Self) -> bool {
        self.phases.is_superset(&other.phases) && self.products.is_superset(&other.products)
    }

    fn has(&self, part: Part<'_>) -> bool {
        match part {
            Part::Phase(phase) => self.phases.contains(phase),
            Part::Product(product) => self.products.contains(product),
        }
    }
}

/// A skip rule, as findings name it, and what a notification that ends with it has skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SkipRule {
    pub(super) name: String,
    pub(super) skipped: Skipped,
}

/// What a notification does not meet any more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cover {
    /// Whether the rest of the custom rules is skipped.
    pub rest: bool,
    /// The last skip rule that surely matches.
    pub(super) rule: Option<SkipRule>,
    /// Skip rules before it that take some notifications past it.
    pub(super) detours: Vec<SkipRule>,
    /// A skip rule for notifications that none of them reaches, as another is before it.
    pub(super) unreached: Option<SkipRule>,
}

/// Notifications that meet a part of the firewall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// Which ones.
    pub who: String,
    /// What to do, so that they do not.
    pub todo: String,
}

impl Cover {
    /// Which notifications do not skip the part; nothing where all of them do.
    pub fn lack(&self, part: Part<'_>) -> Option<Lack> {
        let (name, list) = match part {
            Part::Phase(name) => (name, "phases"),
            Part::Product(name) => (name, "products"),
        };
        let all = |todo| Some(Lack { who: "notifications".to_owned(), todo });
        let Some(rule) = &self.rule else {
            return all(format!("let a skip rule for the Worker's notifications skip {name}"));
        };
        if !rule.skipped.has(part) {
            return all(match &self.unreached {
                Some(unreached) if unreached.skipped.has(part) => {
                    format!("move the skip rule, {}, to the first place", unreached.name)
                }
                _ => format!("add {name} to the {list} of the skip rule"),
            });
        }
        let detour = self.detours.iter().find(|detour| !detour.skipped.has(part))?;
        Some(Lack {
            who: format!("those notifications that {} matches, which never reach the skip rule", detour.name),
            todo: format!("move that rule behind the skip rule, {}", rule.name),
        })
    }
}
