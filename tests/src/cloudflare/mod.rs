//! A stand-in for the part of Cloudflare's API that `origin-consumer doctor` reads, since Cloudflare's own cannot be had
//! offline. It keeps to the published schema, and checks the token's permissions as the API does: what a token may not read is
//! answered 403, with the code 10000 (accounts, zones) or 9109 (a zone that the token does not see).
//!
//! - <https://developers.cloudflare.com/api/resources/rulesets/subresources/phases/>
//! - <https://developers.cloudflare.com/api/resources/workers/>
//! - <https://developers.cloudflare.com/api/resources/bot_management/>
//! - <https://developers.cloudflare.com/api/resources/r2/subresources/buckets/subresources/lifecycle/>
//! - <https://developers.cloudflare.com/api/resources/firewall/>
//! - <https://developers.cloudflare.com/api/resources/zones/subresources/settings/>
//! - <https://developers.cloudflare.com/api/resources/page_rules/>

mod account;
mod http;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use account::{Account, rule, skip_rule};

/// The account.
pub const ACCOUNT: &str = "01a7362d577a6c3019a474fd6f485823";
/// The zone.
pub const ZONE: &str = "023e105f4ecef8ad9ca31a8372d0c353";
/// The zone's name.
pub const ZONE_NAME: &str = "example.com";
/// The token that may read what [`Account::permissions`] says.
pub const TOKEN: &str = "a-token-that-only-reads";

/// The stand-in. It ends when it is dropped.
pub struct CloudflareApi {
    /// What stands for `https://api.cloudflare.com/client/v4`.
    pub api_url: String,
    account: Arc<Mutex<Account>>,
    server: JoinHandle<()>,
}

impl CloudflareApi {
    /// Starts it on a free port, with a deployment as it should be.
    pub async fn start() -> Result<Self> {
        Self::start_on(0).await
    }

    /// Starts it on this port.
    pub async fn start_on(port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let api_url = format!("http://{}/client/v4", listener.local_addr()?);
        let account = Arc::new(Mutex::new(Account::well()));
        let router = http::router(Arc::clone(&account));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { api_url, account, server })
    }

    /// Changes the deployment that it tells of.
    pub fn set(&self, change: impl FnOnce(&mut Account)) {
        change(&mut self.account.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The custom rules of the zone, in their order.
    pub fn set_custom_rules(&self, rules: Vec<Value>) {
        self.set(|account| account.put_phase("http_request_firewall_custom", rules));
    }

    /// A deployment as it should be, again.
    pub fn reset(&self) {
        self.set(|account| *account = Account::well());
    }

    /// What the doctor is configured with, as variables of its environment.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let variables = [
            ("API_URL", self.api_url.as_str()),
            ("ACCOUNT_ID", ACCOUNT),
            ("ZONE_ID", ZONE),
            ("DOCTOR_TOKEN", TOKEN),
        ];
        let name = |name: &str| format!("SPILLWAY_CLOUDFLARE__{name}");
        variables.into_iter().map(|(field, value)| (name(field), value.to_owned())).collect()
    }
}

impl Drop for CloudflareApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}
