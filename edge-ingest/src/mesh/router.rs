//! Method and path to handler.

use http::Method;

use crate::config::Role;
use crate::reject::Rejection;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// An export of traces.
    Traces,
    /// A browser asks whether it may send one.
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

struct Entry {
    path: &'static str,
    role: Role,
    methods: &'static [(Method, Route)],
    /// The value of `Allow`.
    allow: &'static str,
}

const TRACES: &[(Method, Route)] = &[(Method::POST, Route::Traces), (Method::OPTIONS, Route::Preflight)];

const ENTRIES: &[Entry] = &[
    Entry { path: "/v1/traces", role: Role::Ingress, methods: TRACES, allow: "POST, OPTIONS" },
    Entry { path: "/v1/traces/", role: Role::Ingress, methods: TRACES, allow: "POST, OPTIONS" },
    // What becomes of an endpoint that was configured without a path.
    Entry { path: "/", role: Role::Ingress, methods: TRACES, allow: "POST, OPTIONS" },
    Entry {
        path: spillway_proto::usage::PATH,
        role: Role::Ingress,
        methods: &[(Method::POST, Route::Usage)],
        allow: "POST",
    },
    Entry {
        path: spillway_proto::probe::PATH,
        role: Role::Ingress,
        methods: &[(Method::POST, Route::Probe)],
        allow: "POST",
    },
    Entry {
        path: crate::operator::PATH,
        role: Role::Operator,
        methods: &[(Method::POST, Route::Telemetry)],
        allow: "POST",
    },
];

const HEALTH: Entry =
    Entry { path: "/healthz", role: Role::Ingress, methods: &[(Method::GET, Route::Health)], allow: "GET" };

/// The handler of a request to a Worker of `role`.
pub fn route(role: Role, method: &Method, path: &str) -> Result<Route, Rejection> {
    let of_role = ENTRIES.iter().filter(|entry| entry.role == role).chain([&HEALTH]);
    let mut of_path = of_role.filter(|entry| entry.path == path);
    let entry = of_path.next().ok_or(Rejection::UnknownPath)?;
    let of_method = entry.methods.iter().find(|(known, _)| known == method);
    of_method.map(|(_, route)| *route).ok_or(Rejection::MethodNotAllowed { allow: entry.allow })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(role: Role, method: Method, path: &str) -> Result<Route, u16> {
        route(role, &method, path).map_err(|rejection| rejection.status())
    }

    #[test]
    fn every_path_of_an_exporter_is_taken() {
        for path in ["/v1/traces", "/v1/traces/", "/"] {
            assert_eq!(routed(Role::Ingress, Method::POST, path), Ok(Route::Traces));
            assert_eq!(routed(Role::Ingress, Method::OPTIONS, path), Ok(Route::Preflight));
        }
    }

    #[test]
    fn what_is_not_there_is_404_and_a_wrong_method_405() {
        assert_eq!(routed(Role::Ingress, Method::POST, "/v1/logs"), Err(404));
        assert_eq!(routed(Role::Ingress, Method::GET, "/v1/traces"), Err(405));
        let Err(Rejection::MethodNotAllowed { allow }) = route(Role::Ingress, &Method::PUT, "/healthz")
        else {
            panic!("there is a GET only")
        };
        assert_eq!(allow, "GET");
    }

    #[test]
    fn each_role_has_its_own_paths() {
        assert_eq!(routed(Role::Ingress, Method::POST, crate::operator::PATH), Err(404));
        assert_eq!(routed(Role::Operator, Method::POST, crate::operator::PATH), Ok(Route::Telemetry));
        assert_eq!(routed(Role::Operator, Method::POST, "/v1/traces"), Err(404));
        assert_eq!(routed(Role::Operator, Method::GET, "/healthz"), Ok(Route::Health));
    }
}
