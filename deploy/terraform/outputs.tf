output "notify_url" {
  description = "NOTIFY_URL of the Worker."
  value       = "https://${local.notify_host}${var.notify_path}"
}

output "skip_rule" {
  description = "The skip rule as Cloudflare's API takes it; skip-rule.json is this for example.com."
  value       = jsonencode(merge(local.skip_rule, { position = { index = 1 } }))
}

output "kv_namespace_id" {
  description = "The id of the binding KEYS, and cloudflare.kv_namespace_id of the origin."
  value       = cloudflare_workers_kv_namespace.keys.id
}

output "s3_endpoint" {
  description = "s3.endpoint of the origin."
  value       = "https://${var.account_id}${var.bucket_jurisdiction == "default" ? "" : ".${var.bucket_jurisdiction}"}.r2.cloudflarestorage.com"
}

output "queue_id" {
  description = "queue_pull.queue_id of the origin; null without a queue."
  value       = var.queue ? cloudflare_queue.notifications[0].queue_id : null
}
