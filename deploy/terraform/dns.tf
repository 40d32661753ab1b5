# Intent: exporters reach Cloudflare by this name, and behind the Worker it is the origin: a tunnel, so that the origin has no open
# port, or an address. Proxied, since a route holds for proxied records only.
resource "cloudflare_dns_record" "ingest" {
  zone_id = var.zone_id
  name    = var.ingest_host
  type    = var.origin.type
  content = var.origin.content
  proxied = true
  # Automatic, the one value for proxied records.
  ttl     = 1
  comment = "Spillway: exporters by the Worker, notifications to the origin"
}
