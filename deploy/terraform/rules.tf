# What the zone's firewall does to exports and to the Worker's notifications. Each ruleset is the whole entry point of its
# phase: import what the zone has before the first `apply` (README.md), and list the zone's own rules in the variables.

locals {
  notify_host = coalesce(var.notify_host, var.ingest_host)

  # Intent: a notification of this zone's Worker meets none of the zone's rules, whichever way Cloudflare routes it. First in
  # the first phase, because a rule before it would still hold for notifications. Narrow, because every Worker of the zone
  # would inherit it: this host, this path, and only where the request comes from a Worker of this zone. That field is
  # Cloudflare's own and empty for everyone else; the header CF-Worker is not, and is added only after the rules have run.
  skip_rule = {
    ref         = "spillway_skip_worker_notifications"
    description = "Spillway: notifications of this zone's Worker pass all rules"
    expression  = "(http.host eq \"${local.notify_host}\" and http.request.uri.path eq \"${var.notify_path}\" and cf.worker.upstream_zone eq \"${var.zone_name}\")"
    action      = "skip"
    action_parameters = {
      # The remaining custom rules,
      ruleset = "current"
      # the phases that follow,
      phases = ["http_ratelimit", "http_request_sbfm", "http_request_firewall_managed"]
      # and the products that are not rulesets.
      products = ["zoneLockdown", "uaBlock", "bic", "hot", "securityLevel", "rateLimit", "waf"]
    }
    enabled = true
    # In Security Events, a skipped notification is how an operator sees which way they come.
    logging = { enabled = true }
  }

  custom_rules = [
    # Intent: what no exporter asks for costs no Worker request and meets no origin, should the Worker's route be gone. The
    # origin's own pages (/metrics, /readyz, /api/meter) are among it; it refuses them as well. Paths that exporters make of an
    # endpoint that already has one, those of OTLP's other signals, and those of gRPC do reach the Worker, which tells their
    # exporters what to change: a page of the firewall would not.
    {
      ref         = "spillway_known_paths"
      description = "Spillway: the ingest host has no other paths"
      expression  = "(http.host eq \"${var.ingest_host}\" and not http.request.uri.path in {\"/\" \"/v1/traces\" \"/v1/traces/\" \"//v1/traces\" \"/v1/traces/v1/traces\" \"/v1/traces/v1/traces/\" \"/v1/metrics\" \"//v1/metrics\" \"/v1/traces/v1/metrics\" \"/v1/logs\" \"//v1/logs\" \"/v1/traces/v1/logs\" \"/healthz\" \"/spillway/usage\" \"/spillway/probe\"} and not starts_with(http.request.uri.path, \"/opentelemetry.proto.collector.\"))"
      action      = "block"
      enabled     = true
    },
    # Intent: exporters POST, browsers ask first with OPTIONS, and health checks GET.
    {
      ref         = "spillway_known_methods"
      description = "Spillway: the ingest host takes no other methods"
      expression  = "(http.host eq \"${var.ingest_host}\" and not http.request.method in {\"POST\" \"OPTIONS\" \"GET\" \"HEAD\"})"
      action      = "block"
      enabled     = true
    },
  ]

  # On the free plan a rate limiting rule sees the path alone, so that the path of another host would count as well.
  exports = local.plan.host_in_rate_limits ? "(http.host eq \"${var.ingest_host}\" and http.request.uri.path in {\"/\" \"/v1/traces\" \"/v1/traces/\" \"//v1/traces\" \"/v1/traces/v1/traces\" \"/v1/traces/v1/traces/\"})" : "(http.request.uri.path in {\"/v1/traces\" \"/v1/traces/\" \"//v1/traces\" \"/v1/traces/v1/traces\" \"/v1/traces/v1/traces/\"})"

  rate_limit_rules = [
    # Intent: an address that sends without end does not use up the Worker's requests. Far above what an exporter sends,
    # since a whole company may be behind one address. A refusal is 429, which exporters try again after; and a short one,
    # since they give up after about ten seconds. Without the skip rule, it counts each trace twice: Cloudflare says
    # of the Worker's notification that it comes from the exporter's address.
    {
      ref         = "spillway_exports_by_address"
      description = "Spillway: exports from one address"
      expression  = local.exports
      action      = "block"
      enabled     = true
      ratelimit = {
        characteristics     = ["cf.colo.id", "ip.src"]
        period              = var.rate_limit_period
        requests_per_period = var.requests_per_period
        mitigation_timeout  = var.rate_limit_timeout
      }
    },
  ]

  # Intent: who guesses keys gets ten minutes of nothing. Needs a plan that counts answers by their status.
  guessing_rules = [
    for rule in [
      {
        ref         = "spillway_wrong_keys_by_address"
        description = "Spillway: wrong keys from one address"
        expression  = local.exports
        action      = "block"
        enabled     = true
        ratelimit = {
          characteristics     = ["cf.colo.id", "ip.src"]
          period              = 60
          requests_per_period = var.wrong_keys_per_minute
          mitigation_timeout  = 600
          counting_expression = "(http.host eq \"${var.ingest_host}\" and http.response.code eq 401)"
        }
      },
    ] : rule if local.plan.counts_answers
  ]

  all_custom_rules     = concat([local.skip_rule], var.custom_rules_before, local.custom_rules, var.custom_rules_after)
  all_rate_limit_rules = concat(var.rate_limit_rules_before, local.rate_limit_rules, local.guessing_rules, var.rate_limit_rules_after)
}

resource "cloudflare_ruleset" "custom" {
  zone_id     = var.zone_id
  name        = "default"
  description = "Custom rules: Spillway's skip rule first, then the zone's own and those of the ingest host."
  kind        = "zone"
  phase       = "http_request_firewall_custom"
  rules       = local.all_custom_rules

  lifecycle {
    precondition {
      condition     = length(local.all_custom_rules) <= local.plan.custom_rules
      error_message = "The plan ${var.plan} has ${local.plan.custom_rules} custom rules; these are ${length(local.all_custom_rules)}."
    }
  }
}

resource "cloudflare_ruleset" "rate_limits" {
  zone_id     = var.zone_id
  name        = "default"
  description = "Rate limiting rules: the zone's own, and those of the ingest host."
  kind        = "zone"
  phase       = "http_ratelimit"
  rules       = local.all_rate_limit_rules

  lifecycle {
    precondition {
      condition     = length(local.all_rate_limit_rules) <= local.plan.rate_limit_rules
      error_message = "The plan ${var.plan} has ${local.plan.rate_limit_rules} rate limiting rules; these are ${length(local.all_rate_limit_rules)}."
    }
    precondition {
      condition     = var.rate_limit_period <= local.plan.max_period
      error_message = "The plan ${var.plan} counts over ${local.plan.max_period} s at most; rate_limit_period is ${var.rate_limit_period}."
    }
    precondition {
      condition     = var.rate_limit_timeout <= local.plan.max_timeout
      error_message = "The plan ${var.plan} refuses for ${local.plan.max_timeout} s at most; rate_limit_timeout is ${var.rate_limit_timeout}."
    }
  }
}
