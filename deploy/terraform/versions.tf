terraform {
  # From 1.9 on a variable's validation may look at other variables.
  required_version = ">= 1.9"

  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = ">= 5.8, < 6"
    }
  }
}

# The token comes from the environment, CLOUDFLARE_API_TOKEN (README.md lists what it may do), and is in no file.
provider "cloudflare" {}
