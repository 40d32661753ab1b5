//! How much memory columns take, and will take.

use super::{Dictionaries, Events, Links, SpanColumns};
use crate::native::{Dictionary, Grows, SLACK, Size};

/// All that grows with the spans, by reference (`&dyn Grows` or `&mut dyn Grows`).
macro_rules! growing {
    ($columns:ident, $grows:ty) => {{
        let SpanColumns {
            dictionaries: _,
            resource_attributes,
            scopes,
            scope_attributes,
            scope,
            row_no,
            timestamp,
            duration,
            trace_id,
            span_id,
            parent_span_id,
            trace_state,
            name,
            kind,
            status_code,
            status_message,
            flags,
            dropped_attributes,
            dropped_events,
            dropped_links,
            repairs,
            attributes,
            event_ends,
            events:
                Events {
                    timestamp: event_timestamp,
                    name: event_name,
                    attributes: event_attributes,
                    dropped_attributes: event_dropped_attributes,
                },
            link_ends,
            links:
                Links {
                    trace_id: link_trace_id,
                    span_id: link_span_id,
                    trace_state: link_trace_state,
                    attributes: link_attributes,
                    dropped_attributes: link_dropped_attributes,
                    flags: link_flags,
                },
            ranks: _,
        } = $columns;
        let growing: [$grows; 33] = [
            resource_attributes,
            scopes,
            scope_attributes,
            scope,
            row_no,
            timestamp,
            duration,
            trace_id,
            span_id,
            parent_span_id,
            trace_state,
            name,
            kind,
            status_code,
            status_message,
            flags,
            dropped_attributes,
            dropped_events,
            dropped_links,
            repairs,
            attributes,
            event_ends,
            event_timestamp,
            event_name,
            event_attributes,
            event_dropped_attributes,
            link_ends,
            link_trace_id,
            link_span_id,
            link_trace_state,
            link_attributes,
            link_dropped_attributes,
            link_flags,
        ];
        growing
    }};
}

impl SpanColumns {
    /// How much memory it takes.
    pub fn size(&self) -> Size {
        self.dictionaries.size() + growing!(self, &dyn Grows).into_iter().map(Grows::size).sum()
    }

    /// Takes memory for `times` the spans that there are, if those that come are like them; for no more than `most_bytes` in all.
    pub fn expect(&mut self, times: f64, most_bytes: u64) {
        let most_times = most_bytes as f64 / (self.size().used.max(1) as f64 * SLACK);
        for part in growing!(self, &mut dyn Grows) {
            part.expect(times.min(most_times));
        }
    }
}

impl Dictionaries {
    fn size(&self) -> Size {
        let of_objects = [&self.objects, &self.tenants, &self.projects, &self.services];
        let of_spans = [&self.names, &self.event_names, &self.keys, &self.common_values];
        let of_scopes = [&self.scope_names, &self.scope_versions, &self.scope_schema_urls];
        let of_resources = [&self.resource_schema_urls, &self.entity_refs];
        let of_spans = of_objects.into_iter().chain(of_spans);
        of_spans.chain(of_scopes).chain(of_resources).map(Dictionary::size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(spans: u32) -> SpanColumns {
        let mut columns = SpanColumns::default();
        columns.row_no.extend(0..spans);
        columns.events.name.extend(0..spans);
        columns
    }

    #[test]
    fn every_column_takes_what_is_expected_of_it() {
        let mut columns = columns(1_000);
        columns.expect(4.0, u64::MAX);
        assert_eq!(columns.row_no.capacity(), 4_500);
        assert_eq!(columns.events.name.capacity(), 4_500);
        assert!(columns.row_no.iter().copied().eq(0..1_000));
    }

    #[test]
    fn no_more_is_taken_than_there_may_be() {
        let mut columns = columns(1_000);
        let most = 2 * columns.size().used as u64;
        columns.expect(16.0, most);
        let held = columns.size().held as u64;
        assert!(held > most / 2 && held <= most, "{held} of {most}");
    }
}
