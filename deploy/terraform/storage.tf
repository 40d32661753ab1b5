# Intent: the write-ahead log. An exporter was told 200 because its request is in here.
resource "cloudflare_r2_bucket" "objects" {
  account_id    = var.account_id
  name          = var.bucket_name
  location      = var.bucket_location
  jurisdiction  = var.bucket_jurisdiction
  storage_class = "Standard"

  lifecycle {
    prevent_destroy = true
  }
}

# Intent: what the origin has left behind goes at last, long after the last pass of the sweep, the audit and the ledger's memory
# (the validation of object_days). Until then an outage of the origin costs time and no span.
resource "cloudflare_r2_bucket_lifecycle" "objects" {
  account_id   = var.account_id
  bucket_name  = cloudflare_r2_bucket.objects.name
  jurisdiction = var.bucket_jurisdiction

  rules = concat(
    [
      {
        id         = "spillway objects"
        enabled    = true
        conditions = { prefix = "v1/" }
        delete_objects_transition = {
          condition = {
            type    = "Age"
            max_age = var.object_days * 86400
          }
        }
      },
    ],
    # Dead letters stay until somebody has decided, unless a time is given.
    [
      for days in [var.dead_letter_days] : {
        id         = "spillway dead letters"
        enabled    = true
        conditions = { prefix = "dlq/" }
        delete_objects_transition = {
          condition = {
            type    = "Age"
            max_age = days * 86400
          }
        }
      } if days != null
    ],
    [
      {
        id         = "broken uploads"
        enabled    = true
        conditions = { prefix = "" }
        abort_multipart_uploads_transition = {
          condition = {
            type    = "Age"
            max_age = 7 * 86400
          }
        }
      },
    ],
  )
}
