//! Names of a zone: requests to a name come to Cloudflare only where its record is proxied, and meet neither rules nor a Worker
//! otherwise. <https://developers.cloudflare.com/dns/proxy-status/>

use crate::finding::{Findings, Origin};
use crate::route::Route;

/// A record of the type A, AAAA or CNAME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name, in lower case: whole, or without the zone's; `@` is the zone's own, and `*` stands for all names without a record.
    pub name: String,
    /// Whether requests come to Cloudflare.
    pub is_proxied: bool,
    /// Where this is written.
    pub origin: Origin,
    /// The resource.
    pub address: String,
}

/// Finds records that lead requests past the zone, whose hosts routes take; without routes, all of them.
pub fn check(records: &[Record], routes: &[Route], findings: &mut Findings) {
    for record in records.iter().filter(|record| !record.is_proxied) {
        let taken = routes.iter().find(|route| record.answers_for(route.host(), records));
        if taken.is_none() && !routes.is_empty() {
            continue;
        }
        let of_route = taken.map_or_else(String::new, |route| format!(" (the route `{}`)", route.pattern));
        let message = format!(
            "`proxied` is not true: requests to `{}`{of_route} go past Cloudflare, and meet neither rules nor the Worker; write `proxied = true`",
            record.name
        );
        findings.add(Some(&record.origin), &record.address, message);
    }
}

impl Record {
    /// Whether requests to a host that a route's pattern names may follow this record.
    fn answers_for(&self, host: &str, records: &[Self]) -> bool {
        let host = host.to_ascii_lowercase();
        if host.starts_with('*') {
            return true;
        }
        let has_own = || records.iter().any(|record| record.is_of(&host));
        match self.name.strip_prefix('*') {
            // `*.dev` may be whole, or stand for `*.dev.example.com`.
            Some(end) => (host.ends_with(end) || host.contains(&format!("{end}."))) && !has_own(),
            None if self.name == "@" => !has_own(),
            None => self.is_of(&host),
        }
    }

    /// Whether it is the host's own record.
    fn is_of(&self, host: &str) -> bool {
        host.strip_prefix(self.name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, is_proxied: bool) -> Record {
        let origin = Origin { file: "main.tf".into(), line: 1 };
        Record { name: name.to_owned(), is_proxied, origin, address: name.to_owned() }
    }

    fn refused(records: &[Record], patterns: &[&str]) -> Vec<String> {
        let routes: Vec<_> = patterns
            .iter()
            .map(|pattern| Route { pattern: (*pattern).to_owned(), script: Some("w".to_owned()) })
            .collect();
        let mut findings = Findings::default();
        check(records, &routes, &mut findings);
        findings.iter().map(|finding| finding.address.clone()).collect()
    }

    #[test]
    fn a_record_that_a_route_needs_is_proxied() {
        let route = ["ingest.example.com/*"];
        for name in ["ingest.example.com", "ingest", "*", "*.example.com", "@"] {
            assert_eq!(refused(&[record(name, false)], &route), [name]);
            assert_eq!(refused(&[record(name, true)], &route), [""; 0]);
            assert_eq!(refused(&[record(name, false)], &["https://INGEST.example.com/v1/*"]), [name]);
            assert_eq!(refused(&[record(name, false)], &["*.example.com/*"]), [name]);
            assert_eq!(refused(&[record(name, false)], &[]), [name]);
        }
        for name in ["mail.example.com", "mail", "origin.example.net", "in", "*.dev"] {
            assert_eq!(refused(&[record(name, false)], &route), [""; 0], "{name}");
        }
    }

    #[test]
    fn the_own_record_of_a_host_counts_before_one_for_all_names() {
        for other in ["*", "@", "*.example.com"] {
            let records = [record("ingest", true), record(other, false)];
            assert_eq!(refused(&records, &["ingest.example.com/*"]), [""; 0]);
        }
    }
}
