//! Method and path to handler.

use std::borrow::Cow;
use std::fmt;

use http::Method;

use crate::config::Role;
use crate::reject::Rejection;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// An export of traces.
    Traces,
    /// A browser asks whether a page may send something, whatever the path.
    Preflight,
    /// An operator asks what a tenant has used ([`spillway_proto::usage`]).
    Usage,
    /// An operator asks by which way notifications go ([`spillway_proto::probe`]).
    Probe,
    /// The edge tells of itself ([`crate::operator`]).
    Telemetry,
    /// Whether the Worker runs, and its configuration can be read.
    Health,
}

/// What OTLP carries besides traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `/v1/metrics`
    Metrics,
    /// `/v1/logs`
    Logs,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        })
    }
}

struct Entry {
    path: &'static str,
    role: Role,
    methods: &'static [(Method, Route)],
    /// The value of `Allow`.
    allow: &'static str,
}

const TRACES: &[(Method, Route)] = &[(Method::POST, Route::Traces)];
const HEALTH: &[(Method, Route)] = &[(Method::GET, Route::Health), (Method::HEAD, Route::Health)];

const ENTRIES: &[Entry] = &[
    Entry { path: "/v1/traces", role: Role::Ingress, methods: TRACES, allow: "POST, OPTIONS" },
    // What SDKs make of a general endpoint (`OTEL_EXPORTER_OTLP_ENDPOINT`) that was configured with the path of traces.
    Entry { path: "/v1/traces/v1/traces", role: Role::Ingress, methods: TRACES, allow: "POST, OPTIONS" },
    // What becomes of an endpoint that was configured without a path.
    Entry { path: "/", role: Role::Ingress, methods: TRACES, allow: "POST, OPTIONS" },
    Entry {
        path: spillway_proto::usage::PATH,
        role: Role::Ingress,
        methods: &[(Method::POST, Route::Usage)],
        allow: "POST, OPTIONS",
    },
    Entry {
        path: spillway_proto::probe::PATH,
        role: Role::Ingress,
        methods: &[(Method::POST, Route::Probe)],
        allow: "POST, OPTIONS",
    },
    Entry { path: "/healthz", role: Role::Ingress, methods: HEALTH, allow: "GET, HEAD, OPTIONS" },
    Entry {
        path: crate::operator::PATH,
        role: Role::Operator,
        methods: &[(Method::POST, Route::Telemetry)],
        allow: "POST",
    },
    Entry { path: "/healthz", role: Role::Operator, methods: HEALTH, allow: "GET, HEAD" },
];

/// The handler of a request to a Worker of `role`.
///
/// Slashes at the end of a path and slashes in a row do not count: they come of endpoints that end with one, to which SDKs add
/// `/v1/traces`.
///
/// The ingress answers a preflight of every path: a page that may not send a request cannot read why the request is refused.
pub fn route(role: Role, method: &Method, path: &str) -> Result<Route, Rejection> {
    if role == Role::Ingress && method == Method::OPTIONS {
        return Ok(Route::Preflight);
    }
    let path = without_idle_slashes(path);
    let mut of_path = ENTRIES.iter().filter(|entry| entry.role == role && entry.path == path);
    let entry = of_path.next().ok_or_else(|| unknown(&path))?;
    let of_method = entry.methods.iter().find(|(known, _)| known == method);
    of_method.map(|(_, route)| *route).ok_or(Rejection::MethodNotAllowed { allow: entry.allow })
}

fn without_idle_slashes(path: &str) -> Cow<'_, str> {
    let is_clean = !path.contains("//") && (path == "/" || !path.ends_with('/'));
    if is_clean {
        return Cow::Borrowed(path);
    }
    let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    Cow::Owned(format!("/{}", segments.join("/")))
}

/// Why no route has this path. The path of another signal may stand behind anything, as that of traces does.
fn unknown(path: &str) -> Rejection {
    let signals = [("/v1/metrics", Signal::Metrics), ("/v1/logs", Signal::Logs)];
    match signals.into_iter().find(|(end, _)| path.ends_with(end)) {
        Some((_, signal)) => Rejection::OtherSignal { signal },
        None => Rejection::UnknownPath,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(role: Role, method: Method, path: &str) -> Result<Route, u16> {
        route(role, &method, path).map_err(|rejection| rejection.status())
    }

    #[test]
    fn every_path_of_an_exporter_is_taken() {
        for path in [
            "/v1/traces",
            "/v1/traces/",
            "//v1/traces",
            "/v1//traces//",
            "/v1/traces/v1/traces",
            "/v1/traces/v1/traces/",
            "/v1/traces//v1/traces",
            "/",
            "//",
        ] {
            assert_eq!(routed(Role::Ingress, Method::POST, path), Ok(Route::Traces));
            assert_eq!(routed(Role::Ingress, Method::OPTIONS, path), Ok(Route::Preflight));
        }
    }

    #[test]
    fn what_is_not_there_is_404_and_a_wrong_method_405() {
        for path in
            ["", "/v1", "/v1/trace", "/v1/traces/v1", "/v1/traces/v1/traces/v1/traces", "/api/v1/traces"]
        {
            assert_eq!(routed(Role::Ingress, Method::POST, path), Err(404), "{path}");
        }
        assert_eq!(routed(Role::Ingress, Method::GET, "/v1/traces"), Err(405));
        let Err(Rejection::MethodNotAllowed { allow }) = route(Role::Ingress, &Method::PUT, "/healthz")
        else {
            panic!("there is no PUT")
        };
        assert_eq!(allow, "GET, HEAD, OPTIONS");
        assert_eq!(routed(Role::Ingress, Method::HEAD, "/healthz"), Ok(Route::Health));
    }

    #[test]
    fn a_page_may_ask_before_any_path_of_the_ingress_and_none_of_the_operator() {
        for path in [
            "/v1/metrics",
            "/v1/logs",
            "//v1/logs/",
            "/v1/trace",
            "/nope",
            "/healthz",
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            spillway_proto::usage::PATH,
            spillway_proto::probe::PATH,
        ] {
            assert_eq!(routed(Role::Ingress, Method::OPTIONS, path), Ok(Route::Preflight), "{path}");
        }
        assert_eq!(routed(Role::Operator, Method::OPTIONS, crate::operator::PATH), Err(405));
        assert_eq!(routed(Role::Operator, Method::OPTIONS, "/healthz"), Err(405));
        assert_eq!(routed(Role::Operator, Method::OPTIONS, "/v1/traces"), Err(404));
    }

    #[test]
    fn the_value_of_allow_names_all_methods_of_a_path() {
        for entry in ENTRIES {
            let of_path = entry.methods.iter().map(|(method, _)| method.as_str());
            let preflight = (entry.role == Role::Ingress).then_some("OPTIONS");
            let methods: Vec<_> = of_path.chain(preflight).collect();
            assert_eq!(methods.join(", "), entry.allow, "{}", entry.path);
        }
    }

    #[test]
    fn the_paths_of_other_signals_are_told_how_to_switch_them_off() {
        for (path, signal) in [
            ("/v1/metrics", "no metrics"),
            ("/v1/logs", "no logs"),
            ("//v1/logs/", "no logs"),
            ("/v1/traces/v1/metrics", "no metrics"),
        ] {
            let rejection = route(Role::Ingress, &Method::POST, path).unwrap_err();
            let message = rejection.to_string();
            assert_eq!((rejection.status(), rejection.code()), (404, "other_signal"));
            for named in [signal, "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none"] {
                assert!(message.contains(named), "{path}: {message}");
            }
        }
    }

    #[test]
    fn each_role_has_its_own_paths() {
        assert_eq!(routed(Role::Ingress, Method::POST, crate::operator::PATH), Err(404));
        assert_eq!(routed(Role::Operator, Method::POST, crate::operator::PATH), Ok(Route::Telemetry));
        assert_eq!(routed(Role::Operator, Method::POST, "/v1/traces"), Err(404));
        assert_eq!(routed(Role::Operator, Method::GET, "/healthz"), Ok(Route::Health));
    }
}
