# What a plan can do, as Cloudflare documents it:
# https://developers.cloudflare.com/waf/rate-limiting-rules/#availability
# https://developers.cloudflare.com/waf/custom-rules/#availability

locals {
  plans = {
    free = {
      custom_rules     = 5
      rate_limit_rules = 1
      # In seconds.
      max_period  = 10
      max_timeout = 10
      # Whether a rate limiting rule may look at the host; on the free plan it sees the path alone.
      host_in_rate_limits = false
      # Whether a rate limiting rule may count answers by their status.
      counts_answers = false
    }
    pro = {
      custom_rules        = 20
      rate_limit_rules    = 2
      max_period          = 60
      max_timeout         = 3600
      host_in_rate_limits = true
      counts_answers      = false
    }
    business = {
      custom_rules        = 100
      rate_limit_rules    = 5
      max_period          = 600
      max_timeout         = 86400
      host_in_rate_limits = true
      counts_answers      = true
    }
    enterprise = {
      custom_rules        = 1000
      rate_limit_rules    = 100
      max_period          = 65535
      max_timeout         = 86400
      host_in_rate_limits = true
      counts_answers      = true
    }
  }

  plan = local.plans[var.plan]
}
