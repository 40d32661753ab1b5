//! The shipped rules let every path through that the Worker has an answer for, and count the exports among them.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::path::Path;
use std::time::Instant;

use axum::http::{Method, Uri};
use serde_json::json;
use spillway_zone::firewall::{Firewall, Switches};
use spillway_zone::request::Request;
use spillway_zone::terraform::Module;

const HOST: &str = "ingest.example.com";
/// What SDKs make of their endpoints.
const EXPORTS: [&str; 6] =
    ["/", "/v1/traces", "/v1/traces/", "//v1/traces", "/v1/traces/v1/traces", "/v1/traces/v1/traces/"];
/// What the Worker refuses with an advice.
const TOLD: [&str; 8] = [
    "/v1/metrics",
    "/v1/logs",
    "//v1/metrics",
    "//v1/logs",
    "/v1/traces/v1/metrics",
    "/v1/traces/v1/logs",
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
];

fn firewall(plan: &str, requests: u32) -> Firewall {
    let values = json!({
        "account_id": "0123456789abcdef0123456789abcdef",
        "zone_id": "fedcba9876543210fedcba9876543210",
        "zone_name": "example.com",
        "plan": plan,
        "ingest_host": HOST,
        "origin": { "type": "CNAME", "content": "tunnel.cfargotunnel.com" },
        "requests_per_period": requests,
    });
    let values = values.as_object().unwrap().iter();
    let values = values.map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/terraform");
    let module = Module::read(&folder, &values).unwrap();
    Firewall::new(&module.rulesets, &Switches::default()).unwrap()
}

/// Who refuses an exporter's POST.
fn refused_by(firewall: &mut Firewall, path: &str) -> Option<String> {
    let uri: Uri = format!("http://{HOST}{path}").parse().unwrap();
    let request = Request { method: Method::POST, ..Request::get(HOST, uri) };
    firewall.request(&request, Instant::now()).refusal.map(|refusal| refusal.rule)
}

#[test]
fn what_exporters_ask_for_reaches_the_worker_and_nothing_else_does() {
    for plan in ["free", "pro", "business", "enterprise"] {
        let mut firewall = firewall(plan, 1_000);
        for path in EXPORTS.iter().chain(&TOLD).chain(&["/healthz"]) {
            assert_eq!(refused_by(&mut firewall, path), None, "{plan}: {path}");
        }
        for path in ["/metrics", "/readyz", "/api/meter", "/wp-login.php", "/v1", "/v1/traces/x"] {
            let refused = refused_by(&mut firewall, path);
            assert_eq!(refused.as_deref(), Some("spillway_known_paths"), "{plan}: {path}");
        }
    }
}

#[test]
fn the_limit_of_exports_counts_each_of_their_paths() {
    for (plan, paths) in [("free", &EXPORTS[1..]), ("pro", &EXPORTS)] {
        for path in paths {
            let mut firewall = firewall(plan, 20);
            let refused = (0..100).find_map(|_| refused_by(&mut firewall, path));
            assert_eq!(refused.as_deref(), Some("spillway_exports_by_address"), "{plan}: {path}");
        }
    }
}
