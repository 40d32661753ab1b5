# The Worker itself is brought up by `wrangler deploy` (edge-ingest/wrangler.jsonc): Terraform routes requests to it.

# Intent: all of the ingest host is the Worker's. A notification to this host does not start the Worker again: a route cannot be
# the target of a fetch from the same zone. It goes to the host's DNS record, which is the origin (dns.tf).
#
# Whether the route fails closed is not among this resource's attributes in any version of provider 5. README.md, "Fail closed",
# has the call that sets it, and `origin-consumer doctor` looks at it.
resource "cloudflare_workers_route" "ingest" {
  count = var.worker_deployed ? 1 : 0

  zone_id = var.zone_id
  pattern = "${var.ingest_host}/*"
  script  = var.worker_script
}

# Intent: the records of the keys, by their hash; the Worker's binding KEYS and cloudflare.kv_namespace_id of the origin.
resource "cloudflare_workers_kv_namespace" "keys" {
  account_id = var.account_id
  title      = "${var.worker_script}-keys"

  lifecycle {
    # Every key would be gone with it.
    prevent_destroy = true
  }
}
