# The zone and what is in it.

variable "account_id" {
  description = "The account that the zone, the bucket, the namespace and the queue belong to."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{32}$", var.account_id))
    error_message = "account_id is 32 hex digits, as the dashboard shows them."
  }
}

variable "zone_id" {
  description = "The zone that exporters send to."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{32}$", var.zone_id))
    error_message = "zone_id is 32 hex digits, as the dashboard shows them."
  }
}

variable "zone_name" {
  description = "The zone's name, such as example.com: what cf.worker.upstream_zone says of this zone's Workers."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.zone_name))
    error_message = "zone_name is the bare name in lower case, such as example.com."
  }
}

variable "plan" {
  description = "The zone's plan. It decides what its rules may look like."
  type        = string

  validation {
    condition     = contains(["free", "pro", "business", "enterprise"], var.plan)
    error_message = "plan is one of free, pro, business, enterprise."
  }
}

variable "ingest_host" {
  description = "The host that exporters send to, such as ingest.example.com."
  type        = string

  validation {
    condition     = var.ingest_host == var.zone_name || endswith(var.ingest_host, ".${var.zone_name}")
    error_message = "ingest_host lies in the zone: it is zone_name or ends with it."
  }
  validation {
    condition     = can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.ingest_host))
    error_message = "ingest_host is a bare host in lower case, without scheme and path."
  }
}

variable "notify_host" {
  description = "The host in the Worker's NOTIFY_URL. Best the ingest host; null means that."
  type        = string
  default     = null

  validation {
    condition     = var.notify_host == null || can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.notify_host))
    error_message = "notify_host is a bare host in lower case, without scheme and path."
  }
}

variable "notify_path" {
  description = "The path in the Worker's NOTIFY_URL: best the one that the Worker is routed on."
  type        = string
  default     = "/v1/traces"

  validation {
    condition     = can(regex("^/[A-Za-z0-9._~/-]+$", var.notify_path))
    error_message = "notify_path begins with a slash, is not the slash alone, and holds neither query nor quotes."
  }
}

# The Worker and the origin.

variable "worker_script" {
  description = "The Worker's name in edge-ingest/wrangler.jsonc; `wrangler deploy` brings it up."
  type        = string
  default     = "spillway-edge-ingest"
}

variable "worker_deployed" {
  description = "Whether the Worker is up: a route needs it, and it needs the bucket and the namespace. false for the first `apply`."
  type        = bool
  default     = true
}

variable "origin" {
  description = "Where the ingest host leads behind the Worker: a tunnel (CNAME to ID.cfargotunnel.com), or an address."
  type = object({
    type    = string
    content = string
  })

  validation {
    condition     = contains(["A", "AAAA", "CNAME"], var.origin.type)
    error_message = "origin.type is one of A, AAAA, CNAME."
  }
}

# What is stored.

variable "bucket_name" {
  description = "The bucket of edge-ingest/wrangler.jsonc and of [s3] in the origin's configuration."
  type        = string
  default     = "spillway"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name is 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "bucket_location" {
  description = "Where the bucket lies, as a hint: apac, eeur, enam, weur, wnam or oc. Best near the origin."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_location == null || contains(["apac", "eeur", "enam", "weur", "wnam", "oc"], coalesce(var.bucket_location, "enam"))
    error_message = "bucket_location is one of apac, eeur, enam, weur, wnam, oc."
  }
}

variable "bucket_jurisdiction" {
  description = "Where the objects are guaranteed to stay: default, eu or fedramp. It changes the S3 endpoint."
  type        = string
  default     = "default"

  validation {
    condition     = contains(["default", "eu", "fedramp"], var.bucket_jurisdiction)
    error_message = "bucket_jurisdiction is one of default, eu, fedramp."
  }
}

variable "ledger_days" {
  description = "audit.ledger_days of the origin's configuration."
  type        = number
  default     = 31
}

variable "audit_after_seconds" {
  description = "audit.after_seconds of the origin's configuration."
  type        = number
  default     = 900
}

variable "last_pass_seconds" {
  description = "The last of sweep.passes_seconds of the origin's configuration."
  type        = number
  default     = 86400
}

variable "delete_after_days" {
  description = "audit.delete_after_days of the origin's configuration; 0 where the consumer deletes nothing."
  type        = number
  default     = 0
}

variable "object_days" {
  description = "After how many days R2 deletes an object, whatever has become of it."
  type        = number
  default     = 35

  validation {
    condition     = var.object_days * 86400 > 2 * (var.last_pass_seconds + var.audit_after_seconds)
    error_message = "object_days is at least twice what the last pass of the sweep and the audit after it take: R2 is the only copy until then."
  }
  validation {
    condition     = var.object_days > var.ledger_days && var.object_days > var.delete_after_days
    error_message = "object_days is more than ledger_days and delete_after_days, so that the origin and not the lifecycle decides what is done with."
  }
}

variable "dead_letter_days" {
  description = "After how many days R2 deletes dead letters; null keeps them, so that nothing goes in silence."
  type        = number
  default     = null

  validation {
    condition     = var.dead_letter_days == null || coalesce(var.dead_letter_days, 30) >= 30
    error_message = "dead_letter_days is 30 or more, or null: somebody has to have the time to look at them."
  }
}

variable "queue" {
  description = "Whether there is a Cloudflare Queue for notifications (NOTIFY_TRANSPORT or NOTIFY_FALLBACK = queue)."
  type        = bool
  default     = true
}

variable "queue_retention_seconds" {
  description = "How long the queue keeps a message: 60 to 1209600 with Workers Paid, 86400 at most without."
  type        = number
  default     = 345600

  validation {
    condition     = var.queue_retention_seconds >= 60 && var.queue_retention_seconds <= 1209600
    error_message = "queue_retention_seconds is between 60 and 1209600."
  }
}

# Limits for the ingest host. The limits of tenants are the Worker's own (docs/limits.md): these only keep off
# what is no exporter.

variable "requests_per_period" {
  description = "How many exports one address may send to one data centre in rate_limit_period seconds. A whole company may stand behind it."
  type        = number
  default     = 5000

  validation {
    condition     = var.requests_per_period >= 1
    error_message = "requests_per_period is 1 or more."
  }
}

variable "rate_limit_period" {
  description = "The period of that limit, in seconds. The plan says which are allowed: free 10, pro up to 60, business up to 600."
  type        = number
  default     = 10

  validation {
    condition     = contains([10, 15, 20, 30, 40, 45, 60, 90, 120, 180, 240, 300, 480, 600, 900, 1200, 1800, 2400, 3600, 65535], var.rate_limit_period)
    error_message = "rate_limit_period is one of Cloudflare's periods: 10, 15, 20, 30, 40, 45, 60, 90, 120, 180, 240, 300, 480, 600, 900, 1200, 1800, 2400, 3600, 65535."
  }
}

variable "rate_limit_timeout" {
  description = "How long an address over the limit is refused, in seconds: free 10, pro up to 3600, others up to 86400. Exporters give up after about 10."
  type        = number
  default     = 10

  validation {
    condition     = contains([10, 15, 20, 30, 40, 45, 60, 90, 120, 180, 240, 300, 480, 600, 900, 1200, 1800, 2400, 3600, 65535, 86400], var.rate_limit_timeout)
    error_message = "rate_limit_timeout is one of Cloudflare's: 10, 15, 20, 30, 40, 45, 60, 90, 120, 180, 240, 300, 480, 600, 900, 1200, 1800, 2400, 3600, 65535, 86400."
  }
}

variable "wrong_keys_per_minute" {
  description = "How many refused keys (401) one address may send in a minute, where the plan can count answers (business, enterprise)."
  type        = number
  default     = 100

  validation {
    condition     = var.wrong_keys_per_minute >= 1
    error_message = "wrong_keys_per_minute is 1 or more."
  }
}

# The zone's own rules. A ruleset of a phase is one thing to Cloudflare: what is not listed here is deleted by `apply`.

variable "custom_rules_before" {
  description = "The zone's own custom rules that come before Spillway's, and after the skip rule, in their order."
  type = list(object({
    action      = string
    expression  = string
    description = optional(string)
    enabled     = optional(bool, true)
    ref         = optional(string)
    logging     = optional(object({ enabled = bool }))
    action_parameters = optional(object({
      ruleset  = optional(string)
      rulesets = optional(list(string))
      phases   = optional(list(string))
      products = optional(list(string))
      rules    = optional(map(list(string)))
      id       = optional(string)
      response = optional(object({ status_code = number, content = string, content_type = string }))
    }))
  }))
  default = []
}

variable "custom_rules_after" {
  description = "The zone's own custom rules that come after Spillway's, in their order."
  type = list(object({
    action      = string
    expression  = string
    description = optional(string)
    enabled     = optional(bool, true)
    ref         = optional(string)
    logging     = optional(object({ enabled = bool }))
    action_parameters = optional(object({
      ruleset  = optional(string)
      rulesets = optional(list(string))
      phases   = optional(list(string))
      products = optional(list(string))
      rules    = optional(map(list(string)))
      id       = optional(string)
      response = optional(object({ status_code = number, content = string, content_type = string }))
    }))
  }))
  default = []
}

variable "rate_limit_rules_before" {
  description = "The zone's own rate limiting rules that come before Spillway's, in their order."
  type = list(object({
    action      = string
    expression  = string
    description = optional(string)
    enabled     = optional(bool, true)
    ref         = optional(string)
    action_parameters = optional(object({
      response = optional(object({ status_code = number, content = string, content_type = string }))
    }))
    ratelimit = object({
      characteristics            = list(string)
      period                     = number
      requests_per_period        = optional(number)
      mitigation_timeout         = optional(number)
      counting_expression        = optional(string)
      requests_to_origin         = optional(bool)
      score_per_period           = optional(number)
      score_response_header_name = optional(string)
    })
  }))
  default = []
}

variable "rate_limit_rules_after" {
  description = "The zone's own rate limiting rules that come after Spillway's, in their order."
  type = list(object({
    action      = string
    expression  = string
    description = optional(string)
    enabled     = optional(bool, true)
    ref         = optional(string)
    action_parameters = optional(object({
      response = optional(object({ status_code = number, content = string, content_type = string }))
    }))
    ratelimit = object({
      characteristics            = list(string)
      period                     = number
      requests_per_period        = optional(number)
      mitigation_timeout         = optional(number)
      counting_expression        = optional(string)
      requests_to_origin         = optional(bool)
      score_per_period           = optional(number)
      score_response_header_name = optional(string)
    })
  }))
  default = []
}
