//! The fields of rules and rulesets: which are evaluated, which cannot change what a request meets, and which are not simulated.
//! A field that is in no table is refused.

use super::Phase;

/// A field's name and what becomes of it.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) reading: Reading,
    pub(super) is_required: bool,
}

pub(super) enum Reading {
    Evaluated(Kind),
    /// The reason stands beside the field.
    WithoutEffect,
    /// Refused; the text says why.
    NotSimulated(&'static str),
}

/// What a value has to be.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Whole,
    Flag,
    OneOf(&'static [&'static str]),
    Texts,
    ListOf(&'static [&'static str]),
    /// Lists of strings by name.
    TextsByName,
    Object(&'static [Field]),
    /// Checked elsewhere.
    Any,
}

const fn evaluated(name: &'static str, kind: Kind) -> Field {
    Field { name, reading: Reading::Evaluated(kind), is_required: false }
}

const fn required(name: &'static str, kind: Kind) -> Field {
    Field { name, reading: Reading::Evaluated(kind), is_required: true }
}

const fn without_effect(name: &'static str) -> Field {
    Field { name, reading: Reading::WithoutEffect, is_required: false }
}

const fn not_simulated(name: &'static str, why: &'static str) -> Field {
    Field { name, reading: Reading::NotSimulated(why), is_required: false }
}

/// Phases whose rules run, at Cloudflare, without a say in whether a request goes on, or in what Worker and origin see of it.
pub(super) const PHASES_WITHOUT_EFFECT: &[&str] = &[
    // What Logpush writes of a request.
    "http_log_custom_fields",
    // How an answer is encoded on its way to the client.
    "http_response_compression",
];

pub(super) const PHASES: &[&str] =
    &[Phase::Custom.name(), Phase::RateLimit.name(), Phase::Managed.name(), Phase::SuperBotFightMode.name()];

/// <https://developers.cloudflare.com/api/resources/rulesets/methods/get/>
pub(super) const RULESET: &[Field] = &[
    evaluated("id", Kind::Text),
    // For people.
    evaluated("name", Kind::Text),
    evaluated("description", Kind::Text),
    // Account rulesets come before those of the zone.
    required("kind", Kind::OneOf(&["zone", "custom", "managed"])),
    required("phase", Kind::OneOf(PHASES)),
    required("rules", Kind::Any),
    // Cloudflare counts and dates changes.
    without_effect("version"),
    without_effect("last_updated"),
    // Which part of Cloudflare has made it, and by which entitlement.
    without_effect("source"),
    without_effect("shareable_entitlement_name"),
];

/// A rule that is enabled. Its action's parameters are in tables of their own.
pub(super) const RULE: &[Field] = &[
    evaluated("id", Kind::Text),
    evaluated("ref", Kind::Text),
    evaluated("description", Kind::Text),
    required("expression", Kind::Text),
    required(
        "action",
        Kind::OneOf(&["block", "challenge", "js_challenge", "managed_challenge", "log", "skip", "execute"]),
    ),
    evaluated("action_parameters", Kind::Any),
    evaluated("enabled", Kind::Flag),
    // Whether a match is in Security Events.
    evaluated("logging", Kind::Object(LOGGING)),
    evaluated("ratelimit", Kind::Object(RATE_LIMIT)),
    // Cloudflare counts and dates changes.
    without_effect("version"),
    without_effect("last_updated"),
    // Names that overrides of a managed ruleset go by; overrides are refused.
    without_effect("categories"),
    not_simulated("exposed_credential_check", "the rule would match fewer requests than its expression"),
];

const LOGGING: &[Field] = &[evaluated("enabled", Kind::Flag)];

/// <https://developers.cloudflare.com/waf/rate-limiting-rules/parameters/>
const RATE_LIMIT: &[Field] = &[
    required("characteristics", Kind::Texts),
    required("period", Kind::Whole),
    required("requests_per_period", Kind::Whole),
    evaluated("mitigation_timeout", Kind::Whole),
    evaluated("counting_expression", Kind::Text),
    // Leaves out what the cache answers. The simulated zone caches nothing.
    evaluated("requests_to_origin", Kind::Flag),
    not_simulated("score_per_period", "write `requests_per_period`"),
    not_simulated("score_response_header_name", "write `requests_per_period`"),
];

/// The parameters that an action has.
pub(super) fn parameters_of(action: &str) -> &'static [Field] {
    match action {
        "block" => BLOCK,
        "skip" => SKIP,
        "execute" => EXECUTE,
        _ => &[],
    }
}

const BLOCK: &[Field] = &[evaluated("response", Kind::Object(RESPONSE))];

const RESPONSE: &[Field] = &[
    required("status_code", Kind::Whole),
    required("content", Kind::Text),
    required("content_type", Kind::Text),
];

/// <https://developers.cloudflare.com/waf/custom-rules/skip/options/>
const SKIP: &[Field] = &[
    evaluated("ruleset", Kind::OneOf(&["current"])),
    evaluated("phase", Kind::OneOf(&["current"])),
    evaluated("phases", Kind::ListOf(PHASES)),
    evaluated(
        "products",
        Kind::ListOf(&["zoneLockdown", "uaBlock", "bic", "hot", "securityLevel", "rateLimit", "waf"]),
    ),
    evaluated("rulesets", Kind::Texts),
    evaluated("rules", Kind::TextsByName),
];

const EXECUTE: &[Field] = &[
    required("id", Kind::Text),
    // Of a ruleset that is simulated there is one version, the one that is given.
    without_effect("version"),
    // Keeps the payload of a match, encrypted, for people.
    without_effect("matched_data"),
    // Refused where the ruleset is simulated; the zone's switch for managed rules says what comes of the others.
    evaluated("overrides", Kind::Any),
];
