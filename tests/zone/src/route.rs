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
    /// Finds out whether Cloudflare would take a pattern.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn check(pattern: &str) -> Result<(), String> {
        let (_, host, path) = split(pattern);
        let is_asterisk_elsewhere = host.strip_prefix('*').unwrap_or(host).contains('*')
            || path.strip_suffix('*').unwrap_or(path).contains('*');
        if is_asterisk_elsewhere {
            return Err(format!(
                "the pattern `{pattern}` has `*` elsewhere than at the host's beginning or the path's end"
            ));
        }
        if host.trim_matches('*').is_empty() || pattern.contains('?') {
            return Err(format!("the pattern `{pattern}` has no host, or a query"));
        }
        Ok(())
    }

    /// The host of the pattern; an asterisk at its beginning stands for anything.
    pub fn host(&self) -> &str {
        split(&self.pattern).1
    }

    /// Whether it takes what is asked for. The query counts as a part of the path. All requests are taken for TLS.
    pub fn matches(&self, host: &str, path_and_query: &str) -> bool {
        let (scheme, host_pattern, path_pattern) = split(&self.pattern);
        if scheme == Some("http") {
            return false;
        }
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

/// Scheme, host and path of a pattern.
fn split(pattern: &str) -> (Option<&str>, &str, &str) {
    let (scheme, rest) =
        pattern.split_once("://").map_or((None, pattern), |(scheme, rest)| (Some(scheme), rest));
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    (scheme, host, path)
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
            ("http://example.com/v1", "example.com", "/v1", false),
        ] {
            assert_eq!(route(pattern, None).matches(host, path), matches, "{pattern} {host}{path}");
        }
    }

    #[test]
    fn patterns_that_cloudflare_does_not_take_are_refused() {
        for pattern in ["a.*.com/x", "example.com/*/x", "example.com/x?y=1", "/x", "*/*"] {
            let error = Route::check(pattern).expect_err(pattern);
            assert!(error.contains(&format!("`{pattern}`")), "{error}");
        }
        for pattern in ["*.example.com/*", "*example.com/*", "example.com/x", "https://example.com/*"] {
            assert_eq!(Route::check(pattern), Ok(()));
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
