# Intent: a way for notifications that does not pass the zone at all. The Worker writes to it by its binding NOTIFICATIONS, and the
# origin pulls ([queue_pull]).
resource "cloudflare_queue" "notifications" {
  count = var.queue ? 1 : 0

  account_id = var.account_id
  queue_name = "spillway-notifications"
  settings = {
    message_retention_period = var.queue_retention_seconds
  }
}

resource "cloudflare_queue_consumer" "origin" {
  count = var.queue ? 1 : 0

  account_id = var.account_id
  queue_id   = cloudflare_queue.notifications[0].queue_id
  type       = "http_pull"
  settings = {
    batch_size            = 100
    max_retries           = 100
    visibility_timeout_ms = 30000
  }
}
