//! What the rules of a zone make of a request, phase by phase.

mod compile;

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use serde::{Deserialize, Serialize};

pub use compile::FirewallError;
pub(crate) use compile::Matching;

use crate::expression::Expression;
use crate::request::{Answer, Request};
use crate::ruleset::{Action, ActionParameters, BlockResponse, Phase, Product, Rule};
use compile::CompiledRuleset;

/// What is switched on beside the rules. Expressions say whom it refuses, since what Cloudflare's own rules look at is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switches {
    /// Cloudflare's managed rules: those that a rule executes, or without such a rule those of the phase.
    pub managed: Option<String>,
    /// Super Bot Fight Mode.
    pub super_bot_fight_mode: Option<String>,
    /// Bot Fight Mode of the free plan, which nothing skips.
    pub bot_fight_mode: Option<String>,
    /// Products that are no rulesets.
    pub products: Vec<(Product, String)>,
}

/// A zone's firewall, with its counters.
#[derive(Debug)]
pub struct Firewall {
    entry_points: HashMap<Phase, CompiledRuleset>,
    executed: HashMap<String, CompiledRuleset>,
    products: Vec<(Product, Expression)>,
    managed: Option<Expression>,
    /// Whether a rule executes Cloudflare's managed rules, so that they are not asked once more at the phase's end.
    executes_managed: bool,
    super_bot_fight_mode: Option<Expression>,
    bot_fight_mode: Option<Expression>,
}

/// Who has refused a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// A phase, or a product.
    pub phase: String,
    /// The rule, by its reference.
    pub rule: String,
    /// What was done.
    pub action: Action,
    /// What is answered.
    pub response: BlockResponse,
    /// For rate limits: after how many seconds to come back.
    pub retry_after_seconds: Option<u32>,
}

/// What became of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passage {
    /// Who has refused it; nobody, if it goes on.
    pub refusal: Option<Refusal>,
    /// The rules that have skipped something.
    pub skipped_by: Vec<String>,
    /// The rules with the action `log`.
    pub logged_by: Vec<String>,
}

/// What earlier rules have switched off for a request.
#[derive(Debug, Default)]
struct Skipped {
    phases: HashSet<Phase>,
    products: HashSet<Product>,
    rulesets: HashSet<String>,
    rules: HashSet<(String, String)>,
}

/// What a rule means for those after it.
enum Next {
    Rule,
    EndOfRuleset,
    EndOfPhase,
    Refused(Refusal),
}

impl Firewall {
    /// Takes a request through all phases.
    pub fn request(&mut self, request: &Request, now: Instant) -> Passage {
        let mut passage = Passage::default();
        let mut skipped = Skipped::default();
        for phase in Phase::ORDER {
            passage.refusal = self.phase(phase, request, now, &mut skipped, &mut passage);
            if passage.refusal.is_some() {
                break;
            }
        }
        passage
    }

    /// Tells the counters what a request was answered.
    pub fn answer(&mut self, request: &Request, answer: &Answer, now: Instant) {
        let all = self.entry_points.values_mut().chain(self.executed.values_mut());
        for rule in all.flat_map(|ruleset| &mut ruleset.rules) {
            if let Matching::Limit(limiter) = &mut rule.matching {
                limiter.answer(request, answer, now);
            }
        }
    }

    fn phase(
        &mut self,
        phase: Phase,
        request: &Request,
        now: Instant,
        skipped: &mut Skipped,
        passage: &mut Passage,
    ) -> Option<Refusal> {
        let switched_on = |switch: &Option<Expression>| {
            switch.as_ref().is_some_and(|expression| expression.matches(request, None))
        };
        if phase == Phase::Custom && switched_on(&self.bot_fight_mode) {
            return Some(Refusal::by_product("Bot Fight Mode", Action::ManagedChallenge));
        }
        if skipped.phases.contains(&phase) {
            return None;
        }
        if let Some(mut entry_point) = self.entry_points.remove(&phase) {
            let next = self.ruleset(&mut entry_point, phase, request, now, skipped, passage);
            self.entry_points.insert(phase, entry_point);
            if let Next::Refused(refusal) = next {
                return Some(refusal);
            }
        }
        match phase {
            // What is no ruleset can be skipped by custom rules, so it comes after them.
            Phase::Custom => {
                let refusing = self.products.iter().find(|(product, expression)| {
                    !skipped.products.contains(product) && expression.matches(request, None)
                });
                refusing.map(|(product, _)| Refusal::by_product(&format!("{product:?}"), Action::Block))
            }
            Phase::Managed if !self.executes_managed && switched_on(&self.managed) => {
                Some(Refusal::by_switch(phase, Action::Block))
            }
            Phase::SuperBotFightMode if switched_on(&self.super_bot_fight_mode) => {
                Some(Refusal::by_switch(phase, Action::ManagedChallenge))
            }
            _ => None,
        }
    }

    fn ruleset(
        &mut self,
        ruleset: &mut CompiledRuleset,
        phase: Phase,
        request: &Request,
        now: Instant,
        skipped: &mut Skipped,
        passage: &mut Passage,
    ) -> Next {
        if ruleset.id.as_ref().is_some_and(|id| skipped.rulesets.contains(id)) {
            return Next::Rule;
        }
        let ruleset_id = ruleset.id.clone().unwrap_or_default();
        for compiled in &mut ruleset.rules {
            let rule_id = compiled.rule.id.clone().unwrap_or_default();
            let is_skipped = skipped.rules.contains(&(ruleset_id.clone(), rule_id));
            if is_skipped || !compiled.applies(request, now) {
                continue;
            }
            let next = match compiled.rule.action {
                Action::Block | Action::Challenge | Action::JsChallenge | Action::ManagedChallenge => {
                    Next::Refused(Refusal::by_rule(phase, &compiled.rule))
                }
                Action::Skip => {
                    passage.skipped_by.push(compiled.rule.label().to_owned());
                    skipped.skip(compiled.rule.action_parameters.as_ref())
                }
                Action::Execute => {
                    let id = compiled.rule.executes().unwrap_or_default().to_owned();
                    match self.executed.remove(&id) {
                        Some(mut executed) => {
                            let next = self.ruleset(&mut executed, phase, request, now, skipped, passage);
                            self.executed.insert(id, executed);
                            if matches!(next, Next::EndOfRuleset) { Next::Rule } else { next }
                        }
                        // Cloudflare's own: the switch says what it refuses.
                        None if skipped.rulesets.contains(&id) => Next::Rule,
                        None if self
                            .managed
                            .as_ref()
                            .is_some_and(|managed| managed.matches(request, None)) =>
                        {
                            Next::Refused(Refusal::by_switch(phase, Action::Block))
                        }
                        None => Next::Rule,
                    }
                }
                Action::Log => {
                    passage.logged_by.push(compiled.rule.label().to_owned());
                    Next::Rule
                }
                // No rule that is compiled has one.
                Action::Other(_) => Next::Rule,
            };
            if !matches!(next, Next::Rule) {
                return next;
            }
        }
        Next::Rule
    }
}

impl Skipped {
    fn skip(&mut self, parameters: Option<&ActionParameters>) -> Next {
        let Some(parameters) = parameters else { return Next::Rule };
        self.phases.extend(parameters.phases.iter().flatten());
        self.products.extend(parameters.products.iter().flatten());
        self.rulesets.extend(parameters.rulesets.iter().flatten().cloned());
        for (ruleset, rules) in parameters.rules.iter().flatten() {
            self.rules.extend(rules.iter().map(|rule| (ruleset.clone(), rule.clone())));
        }
        match (parameters.phase.as_deref(), parameters.ruleset.as_deref()) {
            (Some("current"), _) => Next::EndOfPhase,
            (_, Some("current")) => Next::EndOfRuleset,
            _ => Next::Rule,
        }
    }
}

impl Refusal {
    fn by_rule(phase: Phase, rule: &Rule) -> Self {
        let own = rule.action_parameters.as_ref().and_then(|parameters| parameters.response.clone());
        let is_limit = rule.ratelimit.is_some() && rule.action == Action::Block;
        let timeout = rule.ratelimit.as_ref().and_then(|limit| limit.mitigation_timeout);
        Self {
            phase: phase.name().to_owned(),
            rule: rule.label().to_owned(),
            action: rule.action.clone(),
            response: own.unwrap_or_else(|| page(if is_limit { 429 } else { 403 })),
            retry_after_seconds: if is_limit { timeout } else { None },
        }
    }

    fn by_switch(phase: Phase, action: Action) -> Self {
        Self { phase: phase.name().to_owned(), ..Self::by_product("switched on", action) }
    }

    fn by_product(name: &str, action: Action) -> Self {
        Self {
            phase: "products".to_owned(),
            rule: name.to_owned(),
            action,
            response: page(403),
            retry_after_seconds: None,
        }
    }
}

/// Cloudflare's own page.
fn page(status_code: u16) -> BlockResponse {
    let reason = if status_code == 429 {
        "Error 1015: you are being rate limited"
    } else {
        "Sorry, you have been blocked"
    };
    BlockResponse {
        status_code,
        content: format!("<!DOCTYPE html><title>{reason}</title>"),
        content_type: "text/html; charset=UTF-8".to_owned(),
    }
}

#[cfg(test)]
mod tests;
