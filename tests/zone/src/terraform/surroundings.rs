//! The zone, its names and its Worker. None of them is simulated; their arguments decide whether requests come to Cloudflare, and
//! which way the Worker's own requests go.

use super::convert;
use super::evaluate::Frame;
use super::names::origin;
use super::resource::Reading;
use super::scope::Resource;
use super::tables::{COMPATIBILITY_FLAGS, FORMER_RECORD, RECORD, WORKER, ZONE};
use crate::finding::Origin;
use crate::record::Record;
use crate::value::{Item, Value};

/// Sends a Worker's requests to its own zone by the front door, where they meet the rules, and a route calls the Worker again:
/// <https://developers.cloudflare.com/workers/configuration/compatibility-flags/#global-fetch-strictly-public>
const STRICTLY_PUBLIC: &str = "global_fetch_strictly_public";

/// Types of records that requests follow to an address; only these can be proxied.
const ADDRESS_TYPES: [&str; 3] = ["A", "AAAA", "CNAME"];

impl<'a> Reading<'a, '_, '_> {
    /// Checks an instance of a resource type that is neither a ruleset nor a route.
    pub(super) fn surroundings(
        &mut self,
        kind: &str,
        resource: Resource<'a>,
        address: &str,
        frame: &Frame<'a>,
    ) {
        if kind == ZONE.name {
            self.paused(resource, address, frame);
        } else if kind == RECORD.name || kind == FORMER_RECORD.name {
            self.record(resource, address, frame);
        } else if kind == WORKER.name {
            self.subdomain(resource, address, frame);
        } else {
            self.flags(resource, address, frame);
        }
    }

    fn paused(&mut self, resource: Resource<'a>, address: &str, frame: &Frame<'a>) {
        let Some((paused, at)) = self.known(resource, "paused", address, frame) else { return };
        if !matches!(paused, Value::Null | Value::Bool(false)) {
            self.refuse_at(&at, address, "the argument `paused` is not evaluated; write false".to_owned());
        }
    }

    fn subdomain(&mut self, resource: Resource<'a>, address: &str, frame: &Frame<'a>) {
        let Some((subdomain, at)) = self.known(resource, "subdomain", address, frame) else { return };
        let is_off = |name: &str| {
            let value = subdomain.get(name).map_or(&Value::Null, |item| &item.value);
            matches!(value, Value::Null | Value::Bool(false))
        };
        if subdomain != Value::Null && !(is_off("enabled") && is_off("previews_enabled")) {
            let message = "the argument `subdomain` is not evaluated: requests to workers.dev meet no rules of the zone; write { enabled = false }";
            self.refuse_at(&at, address, message.to_owned());
        }
    }

    fn flags(&mut self, resource: Resource<'a>, address: &str, frame: &Frame<'a>) {
        let Some((flags, at)) = self.known(resource, COMPATIBILITY_FLAGS, address, frame) else { return };
        if flags == Value::Null {
            return;
        }
        let flags = match convert::elements(flags) {
            Ok(flags) => flags,
            Err(fault) => {
                let message = format!("`{COMPATIBILITY_FLAGS}`: {}", fault.message());
                return self.refuse_at(&at, address, message);
            }
        };
        for Item { value: flag, origin } in flags {
            let at = origin.as_ref().unwrap_or(&at);
            match flag.as_text() {
                Some(STRICTLY_PUBLIC) => {
                    let message = format!(
                        "`{COMPATIBILITY_FLAGS}` has `{STRICTLY_PUBLIC}`, which is not evaluated: the Worker's notifications come by the front door, and its route may call it again; leave it out"
                    );
                    self.refuse_at(at, address, message);
                }
                Some(_) => {}
                None => {
                    let message = format!("`{COMPATIBILITY_FLAGS}` has {}; write strings", flag.kind());
                    self.refuse_at(at, address, message);
                }
            }
        }
    }

    fn record(&mut self, resource: Resource<'a>, address: &str, frame: &Frame<'a>) {
        let at = resource.source.origin(resource.block);
        let is_there = |name: &str| resource.argument(name).is_some();
        for name in ["zone_id", "name", "type"] {
            if !is_there(name) {
                self.refuse_at(&at, address, format!("`{name}` is missing"));
            }
        }
        let Some(Some(kind)) = self.text(resource, "type", address, frame) else { return };
        if !ADDRESS_TYPES.contains(&kind.to_ascii_uppercase().as_str()) {
            return;
        }
        if !is_there("content") && !is_there("value") {
            self.refuse_at(&at, address, "`content` is missing".to_owned());
        }
        let proxied = resource.block.body.get_attribute("proxied");
        let is_proxied = match self.known(resource, "proxied", address, frame) {
            Some((proxied, _)) => convert::bool(proxied).ok() == Some(Value::Bool(true)),
            // It has no value, as findings say.
            None if proxied.is_some() => return,
            None => false,
        };
        let Some(Some(name)) = self.text(resource, "name", address, frame) else { return };
        self.module.records.push(Record {
            name: name.trim_end_matches('.').to_ascii_lowercase(),
            is_proxied,
            origin: proxied.map_or(at, |proxied| origin(resource.source, proxied)),
            address: address.to_owned(),
        });
    }

    /// The value of an argument, and where it is written; `None`: it is missing, or there is a finding.
    fn known(
        &mut self,
        resource: Resource<'a>,
        name: &str,
        address: &str,
        frame: &Frame<'a>,
    ) -> Option<(Value, Origin)> {
        let argument = resource.block.body.get_attribute(name)?;
        let at = origin(resource.source, argument);
        match self.value(&argument.value, frame) {
            Ok(value) => match value.unknown().map(str::to_owned) {
                Some(reference) if self.scope.has_failed(&reference) => None,
                Some(reference) => {
                    let message = format!("`{name}` depends on `{reference}`, which only the provider knows");
                    self.refuse_at(&at, address, message);
                    None
                }
                None => Some((value, at)),
            },
            Err(trouble) => {
                self.refuse(&trouble, address);
                None
            }
        }
    }
}
