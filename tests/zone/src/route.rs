//! Which requests a Worker takes: <https://developers.cloudflare.com/workers/configuration/routing/routes/#matching-behavior>

use serde::{Deserialize, Serialize};

/// A Worker's route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Host and path; an asterisk at the host's beginning or at the path's end stands for anything.
    pub pattern: String,
    /// The Worker; without one, requests go to the origin although another route would match.
    #[serde(default)]
    pub script: Option<String>,
}

impl Route {
    /// Whether it takes what is asked for. The query counts as a part of the path.
    pub fn matches(&self, host: &str, path_and_query: &str) -> bool {
        let pattern = self.pattern.split_once("://").map_or(self.pattern.as_str(), |(_, rest)| rest);
        let (host_pattern, path_pattern) = match pattern.find('/') {
            Some(at) => pattern.split_at(at),
            None => (pattern, "/"),
        };
        let host_matches = match host_pattern.strip_prefix('*') {
            Some(end) => host.ends_with(end),
            None => host == host_pattern,
        };
        let path_matches = match path_pattern.strip_suffix('*') {
            Some(beginning) => path_and_query.starts_with(beginning),
            None => path_and_query == path_pattern,
        };
        host_matches && path_matches
    }

    /// The one that counts, of several: the most specific, which is the longest.
    pub fn of<'a>(routes: &'a [Self], host: &str, path_and_query: &str) -> Option<&'a Self> {
        let matching = routes.iter().filter(|route| route.matches(host, path_and_query));
        matching.max_by_key(|route| route.pattern.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(pattern: &str, script: Option<&str>) -> Route {
        Route { pattern: pattern.to_owned(), script: script.map(str::to_owned) }
    }

    #[test]
    fn asterisks_stand_for_anything() {
        for (pattern, host, path, matches) in [
            ("ingest.example.com/*", "ingest.example.com", "/v1/traces", true),
            ("ingest.example.com/*", "example.com", "/v1/traces", false),
            ("*.example.com/*", "ingest.example.com", "/", true),
            ("*.example.com/*", "example.com", "/", false),
            ("*example.com/*", "example.com", "/", true),
            ("example.com/v1*", "example.com", "/v1/traces?x=1", true),
            ("example.com/v1", "example.com", "/v1?x=1", false),
            ("https://example.com/v1", "example.com", "/v1", true),
        ] {
            assert_eq!(route(pattern, None).matches(host, path), matches, "{pattern} {host}{path}");
        }
    }

    #[test]
    fn the_most_specific_one_counts() {
        let routes = [route("example.com/*", Some("all")), route("example.com/internal/*", None)];
        assert_eq!(
            Route::of(&routes, "example.com", "/internal/notify").and_then(|route| route.script.as_deref()),
            None
        );
        assert_eq!(
            Route::of(&routes, "example.com", "/x").and_then(|route| route.script.as_deref()),
            Some("all")
        );
    }
}
