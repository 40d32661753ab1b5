//! Serves the stand-in for Cloudflare's API by itself, so that `origin-consumer doctor` can be tried on rules of one's own:
//!
//! ```sh
//! cloudflare-api 8787                       # prints what the doctor's environment needs
//! curl -X PUT --data @rules.json http://127.0.0.1:8787/stand-in/phases/http_request_firewall_custom
//! origin-consumer doctor --only cloudflare
//! ```
//!
//! `rules.json` is an array of rules, as the API takes them. `PUT /stand-in/PATH` sets any other answer, by its path below the zone
//! or the account, such as `bot_management`.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use anyhow::{Context, Result};
use spillway_tests::cloudflare::CloudflareApi;

#[tokio::main]
async fn main() -> Result<()> {
    let port = match std::env::args().nth(1) {
        Some(port) => port.parse().context("the one argument is a port")?,
        None => 0,
    };
    let api = CloudflareApi::start_on(port).await?;
    for (name, value) in api.variables() {
        println!("export {name}={value}");
    }
    tokio::signal::ctrl_c().await?;
    Ok(())
}
