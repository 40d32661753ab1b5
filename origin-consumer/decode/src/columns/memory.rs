//! How much memory columns take, and will take.

use super::{Dictionaries, SpanColumns};
use crate::native::{Dictionary, Grows, Size};

/// Memory that is expected to be needed is taken with so much more of it, since objects differ. Pages that are not touched cost
/// nothing.
const SLACK: f64 = 1.125;

/// All that grows with the spans, by reference (`&` or `&mut`).
macro_rules! growing {
    ($columns:ident, $($by:tt)+) => {{
        let growing: [$($by)+ dyn Grows; 29] = [
            $($by)+ $columns.resource_attributes,
            $($by)+ $columns.scopes,
            $($by)+ $columns.scope_attributes,
            $($by)+ $columns.scope,
            $($by)+ $columns.row_no,
            $($by)+ $columns.timestamp,
            $($by)+ $columns.duration,
            $($by)+ $columns.trace_id,
            $($by)+ $columns.span_id,
            $($by)+ $columns.parent_span_id,
            $($by)+ $columns.trace_state,
            $($by)+ $columns.name,
            $($by)+ $columns.kind,
            $($by)+ $columns.status_code,
            $($by)+ $columns.status_message,
            $($by)+ $columns.flags,
            $($by)+ $columns.dropped_attributes,
            $($by)+ $columns.dropped_events,
            $($by)+ $columns.dropped_links,
            $($by)+ $columns.attributes,
            $($by)+ $columns.event_ends,
            $($by)+ $columns.events.timestamp,
            $($by)+ $columns.events.name,
            $($by)+ $columns.events.attributes,
            $($by)+ $columns.link_ends,
            $($by)+ $columns.links.trace_id,
            $($by)+ $columns.links.span_id,
            $($by)+ $columns.links.trace_state,
            $($by)+ $columns.links.attributes,
        ];
        growing
    }};
}

impl SpanColumns {
    /// How much memory it takes.
    pub fn size(&self) -> Size {
        self.dictionaries.size() + growing!(self, &).into_iter().map(Grows::size).sum()
    }

    /// Takes memory for `times` the spans that there are, if those that come are like them.
    pub fn expect(&mut self, times: f64) {
        for part in growing!(self, &mut) {
            part.expect(times * SLACK);
        }
    }
}

impl Dictionaries {
    fn size(&self) -> Size {
        let of_objects = [&self.objects, &self.tenants, &self.projects, &self.services];
        let of_spans = [&self.names, &self.event_names, &self.keys, &self.common_values];
        let of_scopes =
            [&self.scope_names, &self.scope_versions, &self.scope_schema_urls, &self.resource_schema_urls];
        [of_objects, of_spans, of_scopes].into_iter().flatten().map(Dictionary::size).sum()
    }
}
