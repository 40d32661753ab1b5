//! Rules as they are evaluated, and what of them cannot be simulated.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::{Firewall, Switches};
use crate::expression::{Expression, ExpressionError};
use crate::finding::Findings;
use crate::rate_limit::{LimitError, Limiter};
use crate::request::Request;
use crate::ruleset::{Action, Phase, Rule, Ruleset};

/// How deep rulesets may execute others; Cloudflare allows one.
const MAX_DEPTH: usize = 2;

#[derive(Debug)]
pub(super) struct CompiledRuleset {
    pub(super) id: Option<String>,
    pub(super) rules: Vec<CompiledRule>,
}

#[derive(Debug)]
pub(super) struct CompiledRule {
    pub(super) rule: Rule,
    pub(super) matching: Matching,
}

#[derive(Debug)]
pub(crate) enum Matching {
    Expression(Expression),
    Limit(Box<Limiter>),
}

/// Rules or switches that cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// Rules, all of them.
    #[error("{0}")]
    Rules(Findings),
    /// A switch's expression.
    #[error("{0}")]
    Switch(#[from] ExpressionError),
}

impl Firewall {
    /// Compiles rules.
    ///
    /// # Errors
    ///
    /// Some are none that Cloudflare would take, or are not simulated.
    pub fn new(rulesets: &[Ruleset], switches: &Switches) -> Result<Self, FirewallError> {
        let mut firewall = Self {
            entry_points: HashMap::new(),
            executed: HashMap::new(),
            products: Vec::new(),
            managed: switches.managed.as_deref().map(Expression::parse).transpose()?,
            executes_managed: false,
            super_bot_fight_mode: switches
                .super_bot_fight_mode
                .as_deref()
                .map(Expression::parse)
                .transpose()?,
            bot_fight_mode: switches.bot_fight_mode.as_deref().map(Expression::parse).transpose()?,
        };
        for (product, expression) in &switches.products {
            firewall.products.push((*product, Expression::parse(expression)?));
        }
        let mut findings = Findings::default();
        for ruleset in rulesets {
            let compiled = CompiledRuleset::new(ruleset, &mut findings);
            let is_second = match (ruleset.kind.as_str(), &ruleset.id) {
                ("zone", _) => firewall.entry_points.insert(ruleset.phase, compiled).is_some(),
                ("custom" | "managed", Some(id)) => firewall.executed.insert(id.clone(), compiled).is_some(),
                (kind, id) => {
                    let id = if id.is_some() { "an" } else { "no" };
                    let message = format!("a ruleset of the kind `{kind}` with {id} id is not simulated");
                    findings.add(ruleset.origin.as_ref(), ruleset.phase.name(), message);
                    false
                }
            };
            if is_second {
                let message = match (ruleset.kind.as_str(), &ruleset.id) {
                    ("custom" | "managed", Some(id)) => format!("there are two rulesets with the id `{id}`"),
                    _ => format!("{} has two entry points", ruleset.phase.name()),
                };
                findings.add(ruleset.origin.as_ref(), ruleset.phase.name(), message);
            }
        }
        for (phase, entry_point) in &firewall.entry_points {
            firewall.check_executed(*phase, entry_point, 0, &mut findings);
        }
        firewall.executes_managed = firewall.entry_points.get(&Phase::Managed).is_some_and(|entry_point| {
            entry_point.executes().any(|(_, id)| !firewall.executed.contains_key(id))
        });
        if firewall.managed.is_some() {
            firewall.check_skipped(&mut findings);
        }
        findings.or(firewall).map_err(FirewallError::Rules)
    }

    /// Finds rules that skip a part of the managed rules that are switched on: which requests it refuses is not known.
    fn check_skipped(&self, findings: &mut Findings) {
        let all = || self.entry_points.values().chain(self.executed.values());
        let is_executed = |id: &str| all().any(|ruleset| ruleset.executes().any(|(_, other)| other == id));
        for ruleset in all() {
            for rule in ruleset.rules.iter().map(|compiled| &compiled.rule) {
                let Some(parameters) = &rule.action_parameters else { continue };
                let rulesets = parameters.rulesets.iter().flatten().filter(|id| !is_executed(id));
                let rules = parameters.rules.iter().flat_map(BTreeMap::keys);
                for id in rulesets.chain(rules).filter(|id| !self.executed.contains_key(*id)) {
                    let address = format!("rule `{}`", rule.label());
                    let message = format!(
                        "`skip` of `{id}`: this ruleset is not known, and managed rules are switched on: give it as JSON"
                    );
                    findings.add(rule.origin.as_ref(), address, message);
                }
            }
        }
    }

    /// Finds rules that execute what is not known, or too deep.
    fn check_executed(&self, phase: Phase, ruleset: &CompiledRuleset, depth: usize, findings: &mut Findings) {
        for (rule, id) in ruleset.executes() {
            let mut refuse = |why: &str| {
                let address = format!("{}: rule `{}`", phase.name(), rule.label());
                findings.add(rule.origin.as_ref(), address, format!("`execute` of `{id}`: {why}"));
            };
            match self.executed.get(id) {
                _ if depth >= MAX_DEPTH => refuse("rulesets that are executed this deep are not simulated"),
                Some(_) if rule.action_parameters.as_ref().is_some_and(|with| with.overrides.is_some()) => {
                    refuse("`overrides` is not simulated: its rules would be evaluated unchanged");
                }
                Some(executed) => self.check_executed(phase, executed, depth + 1, findings),
                None if phase == Phase::Managed && self.managed.is_some() => {}
                None if phase == Phase::Managed => refuse(
                    "this ruleset is not known: give it as JSON, or say by the switch for managed rules what it refuses",
                ),
                None => refuse("this ruleset is not known: give it as JSON"),
            }
        }
    }
}

impl CompiledRuleset {
    /// Of the rules that are enabled.
    fn new(ruleset: &Ruleset, findings: &mut Findings) -> Self {
        let mut rules = Vec::new();
        for rule in ruleset.rules.iter().filter(|rule| rule.enabled) {
            match Matching::of(rule, ruleset.phase) {
                Ok(matching) => rules.push(CompiledRule { rule: rule.clone(), matching }),
                Err(error) => {
                    let address = format!("{}: rule `{}`", ruleset.phase.name(), rule.label());
                    findings.add(rule.origin.as_ref(), address, error.to_string());
                }
            }
        }
        Self { id: ruleset.id.clone(), rules }
    }

    /// The rules that execute a ruleset, and the id of that.
    fn executes(&self) -> impl Iterator<Item = (&Rule, &str)> {
        self.rules.iter().filter_map(|compiled| Some((&compiled.rule, compiled.rule.executes()?)))
    }
}

impl Matching {
    /// Compiles what a rule of a phase matches.
    pub(crate) fn of(rule: &Rule, phase: Phase) -> Result<Self, LimitError> {
        if let Action::Other(action) = &rule.action {
            return Err(LimitError::NotSimulated(format!("the action `{action}`")));
        }
        if rule.action == Action::Execute && rule.executes().is_none() {
            return Err(LimitError::Refused("the action `execute` has no `action_parameters.id`"));
        }
        match &rule.ratelimit {
            Some(_) if phase != Phase::RateLimit => {
                Err(LimitError::Refused("`ratelimit` belongs into the phase http_ratelimit"))
            }
            Some(limit) => {
                Limiter::new(&rule.expression, limit).map(|limiter| Self::Limit(Box::new(limiter)))
            }
            None if phase == Phase::RateLimit => {
                Err(LimitError::Refused("a rule of http_ratelimit has no ratelimit"))
            }
            None => Expression::parse(&rule.expression).map(Self::Expression).map_err(LimitError::from),
        }
    }
}

impl CompiledRule {
    /// Whether it matches a request; a rate limit counts it.
    pub(super) fn applies(&mut self, request: &Request, now: Instant) -> bool {
        match &mut self.matching {
            Matching::Expression(expression) => expression.matches(request, None),
            Matching::Limit(limiter) => limiter.request(request, now),
        }
    }
}
