//! From the bytes of an object to columns.

use bytes::Bytes;
use spillway_proto::notification::Notification;
use spillway_proto::otlp::trace::v1::span::SpanKind;
use spillway_proto::otlp::trace::v1::status::StatusCode;
use spillway_proto::otlp::visit::{
    EntityRef, EventFields, Judged, LinkFields, Owner, ResourceFields, ScopeFields, SpanFields, Value,
    Visitor,
};
use spillway_proto::otlp::{DecodeError, DecompressLimits, Mended, RulesVersion, WireError, judge_and_visit};
use spillway_proto::record::{ObjectRecord, records_of};

use super::entity_refs::EntityRefsJson;
use super::unzip::Unzip;
use super::value::{put_value, text};
use super::{Mark, Scope, SpanColumns};
use crate::native::Texts;
use crate::rows::{RowsError, nanos};
use crate::stored::StoredElsewhere;

impl SpanColumns {
    /// Adds the valid spans of an object, but for those that other objects have stored. After an error, there are none of it.
    pub fn add_object(
        &mut self,
        notification: &Notification,
        object: Bytes,
        limits: DecompressLimits,
        elsewhere: Option<&StoredElsewhere>,
        unzip: &mut Unzip,
    ) -> Result<(), RowsError> {
        let mark = self.mark();
        self.ranks.take();
        // A panic is caught above, and must leave no half of an object either.
        let mut adding = Adding { columns: self, mark, is_whole: false };
        adding.columns.add_records(notification, object, limits, elsewhere, unzip)?;
        adding.is_whole = true;
        Ok(())
    }

    fn add_records(
        &mut self,
        notification: &Notification,
        bytes: Bytes,
        limits: DecompressLimits,
        elsewhere: Option<&StoredElsewhere>,
        unzip: &mut Unzip,
    ) -> Result<(), RowsError> {
        let key = &notification.object_key;
        let number = self.dictionaries.objects.number(key.to_string().as_bytes());
        let mut object = ObjectSpans { number, elsewhere, positions: 0, valid: 0 };
        for record in records_of(bytes)? {
            if record.tenant != notification.tenant {
                return Err(RowsError::Tenant);
            }
            let payload = unzip.payload(&record.payload, record.compression, limits)?;
            self.add_request(&payload, &record, &mut object).map_err(DecodeError::from)?;
        }
        let found = object.valid;
        if found == key.spans() {
            Ok(())
        } else {
            Err(RowsError::Count { expected: key.spans(), found: found as usize })
        }
    }

    fn add_request(
        &mut self,
        request: &[u8],
        record: &ObjectRecord,
        object: &mut ObjectSpans<'_>,
    ) -> Result<(), Box<WireError>> {
        let project = record.project.as_ref().map_or("", |project| project.as_str());
        let of_record = Scope {
            object: object.number,
            tenant: self.dictionaries.tenants.number(record.tenant.as_str().as_bytes()),
            project: self.dictionaries.projects.number(project.as_bytes()),
            received_at: record.received_at.0.try_into().unwrap_or(i64::MAX),
            resource: 0,
            service: 0,
            resource_schema_url: 0,
            resource_dropped_attributes: 0,
            entity_refs: 0,
            name: 0,
            version: 0,
            schema_url: 0,
            dropped_attributes: 0,
        };
        let first_position = object.positions;
        let mended = Mended::default();
        let mut reader = Reader {
            columns: self,
            object,
            first_position,
            is_v1: record.rules == RulesVersion::V1,
            scope: of_record,
            service: None,
            entity_refs: EntityRefsJson::default(),
            resource_waits: false,
            scope_waits: false,
        };
        judge_and_visit(request, &record.criteria(), &record.transcoding_repairs, &mended, &mut reader)?;
        reader.forget_resource();
        reader.forget_scope();
        Ok(())
    }
}

/// The spans of an object so far.
struct ObjectSpans<'e> {
    /// The number of its key.
    number: u32,
    elsewhere: Option<&'e StoredElsewhere>,
    /// How many there were, valid or not.
    positions: u32,
    /// How many of them were valid.
    valid: u32,
}

/// Places and numbers are below the number of spans and attributes of a batch, which memory bounds.
fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Takes back what was added of an object, unless it is whole.
struct Adding<'c> {
    columns: &'c mut SpanColumns,
    mark: Mark,
    is_whole: bool,
}

impl Drop for Adding<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            self.columns.truncate(self.mark);
        }
    }
}

/// Adds what the pass over a request tells.
struct Reader<'c, 'e> {
    columns: &'c mut SpanColumns,
    object: &'c mut ObjectSpans<'e>,
    /// The position in the object of the request's first span.
    first_position: u32,
    /// The rows are those of Spillway 0.1: numbered by the valid spans, and not by their positions.
    is_v1: bool,
    /// The scope that the pass is in, as far as it is known.
    scope: Scope,
    /// Of the resource that is next.
    service: Option<u32>,
    /// Of the resource that is next.
    entity_refs: EntityRefsJson,
    /// The resource has no valid span yet. One that never has takes no memory: two bytes of the wire would take fifty.
    resource_waits: bool,
    /// Likewise the scope.
    scope_waits: bool,
}

impl Reader<'_, '_> {
    fn forget_resource(&mut self) {
        if std::mem::take(&mut self.resource_waits) {
            let resources = self.columns.resource_attributes.len();
            self.columns.resource_attributes.truncate(resources);
        }
    }

    fn forget_scope(&mut self) {
        if std::mem::take(&mut self.scope_waits) {
            self.columns.scope_attributes.truncate(self.columns.scopes.len());
        }
    }

    /// The number of a span's row; none where it gets no row.
    #[inline]
    fn row_no(&mut self, judged: Judged) -> Option<u32> {
        let object = &mut *self.object;
        let (position, valid) = (self.first_position + judged.position, object.valid);
        object.positions += 1;
        if !judged.is_valid {
            return None;
        }
        object.valid += 1;
        let row_no = if self.is_v1 { valid } else { position };
        let is_elsewhere = object.elsewhere.is_some_and(|elsewhere| elsewhere.has(position, row_no));
        (!is_elsewhere).then_some(row_no)
    }

    /// At the first valid span of a scope.
    #[cold]
    fn keep_scope(&mut self) {
        if std::mem::take(&mut self.resource_waits) {
            self.scope.resource = place(self.columns.resource_attributes.len());
            self.columns.resource_attributes.end();
        }
        self.scope_waits = false;
        self.columns.scope_attributes.end();
        self.columns.scopes.push(self.scope);
    }
}

impl<'a> Visitor<'a> for Reader<'_, '_> {
    #[inline]
    fn attribute(&mut self, owner: Owner, key: &'a [u8], value: Value<'a>) {
        let columns = &mut *self.columns;
        let key_number = columns.dictionaries.keys.number(key);
        let maps = match owner {
            Owner::Span => &mut columns.attributes,
            Owner::Event => &mut columns.events.attributes,
            Owner::Link => &mut columns.links.attributes,
            Owner::Resource => {
                self.forget_resource();
                let columns = &mut *self.columns;
                let text = text(value);
                if key == b"service.name" && self.service.is_none() {
                    self.service = Some(columns.dictionaries.services.number(&text));
                }
                let value = columns.dictionaries.common_values.number(&text);
                return columns.resource_attributes.pair(key_number, value);
            }
            Owner::Scope => {
                self.forget_scope();
                let columns = &mut *self.columns;
                let value = columns.dictionaries.common_values.number(&text(value));
                return columns.scope_attributes.pair(key_number, value);
            }
        };
        put_value(maps.pair(key_number), value);
    }

    fn entity_ref(&mut self, entity_ref: EntityRef<'a>) {
        self.entity_refs.add(entity_ref);
    }

    fn resource(&mut self, resource: &ResourceFields<'a>) {
        self.forget_resource();
        let dictionaries = &mut self.columns.dictionaries;
        let service = self.service.take();
        self.scope.service = service.unwrap_or_else(|| dictionaries.services.number(b""));
        self.scope.resource_schema_url = dictionaries.resource_schema_urls.number(resource.schema_url);
        self.scope.resource_dropped_attributes = resource.dropped_attributes;
        let entity_refs = self.entity_refs.take(resource.keeps_entity_refs);
        self.scope.entity_refs = dictionaries.entity_refs.number(&entity_refs);
        self.resource_waits = true;
    }

    fn scope(&mut self, scope: &ScopeFields<'a>) {
        self.forget_scope();
        let dictionaries = &mut self.columns.dictionaries;
        self.scope.name = dictionaries.scope_names.number(scope.name);
        self.scope.version = dictionaries.scope_versions.number(scope.version);
        self.scope.schema_url = dictionaries.scope_schema_urls.number(scope.schema_url);
        self.scope.dropped_attributes = scope.dropped_attributes;
        self.scope_waits = true;
    }

    fn event(&mut self, event: &EventFields<'a>) {
        let columns = &mut *self.columns;
        columns.events.timestamp.push(nanos(event.time_unix_nano));
        columns.events.name.push(columns.dictionaries.event_names.number(event.name));
        columns.events.dropped_attributes.push(event.dropped_attributes);
        columns.events.attributes.end();
    }

    fn link(&mut self, link: &LinkFields<'a>) {
        let links = &mut self.columns.links;
        put_id(&mut links.trace_id, link.trace_id, self.is_v1);
        put_id(&mut links.span_id, link.span_id, self.is_v1);
        links.trace_state.push(link.trace_state);
        links.dropped_attributes.push(link.dropped_attributes);
        links.flags.push(link.flags);
        links.attributes.end();
    }

    fn span(&mut self, span: &SpanFields<'a>, judged: Judged) {
        let Some(row_no) = self.row_no(judged) else {
            self.columns.drop_open_span();
            return;
        };
        if self.scope_waits {
            self.keep_scope();
        }
        let columns = &mut *self.columns;
        let kind = SpanKind::try_from(span.kind).unwrap_or_default();
        let status = StatusCode::try_from(span.status_code).unwrap_or_default();
        columns.row_no.push(row_no);
        columns.repairs.push(judged.repairs);
        columns.scope.push(place(columns.scopes.len() - 1));
        columns.timestamp.push(nanos(span.start_unix_nano));
        // A clock that ran backwards must not become a duration of centuries.
        columns.duration.push(span.end_unix_nano.saturating_sub(span.start_unix_nano));
        columns.trace_id.push(id(span.trace_id));
        columns.span_id.push(id(span.span_id));
        columns.parent_span_id.push(id(span.parent_span_id));
        columns.trace_state.push(span.trace_state);
        columns.name.push(columns.dictionaries.names.number(span.name));
        columns.kind.push(kind as u32);
        columns.status_code.push(status as u32);
        columns.status_message.push(span.status_message);
        columns.flags.push(span.flags);
        columns.dropped_attributes.push(span.dropped_attributes);
        columns.dropped_events.push(span.dropped_events);
        columns.dropped_links.push(span.dropped_links);
        columns.attributes.end();
        columns.event_ends.push(columns.events.timestamp.len());
        columns.link_ends.push(columns.links.trace_id.len());
    }
}

/// Appends the hex of a link's id. A missing one is an empty text, and so is one of zeros, which some SDKs write for it; Spillway
/// 0.1 wrote the zeros.
fn put_id(texts: &mut Texts, id: &[u8], is_v1: bool) {
    if !is_v1 && id.iter().all(|byte| *byte == 0) {
        texts.push(b"");
    } else {
        texts.push(hex::encode(id).as_bytes());
    }
}

/// Validation has refused ids of another length; a parent may have none, which is the same as zeros.
fn id<const BYTES: usize>(bytes: &[u8]) -> [u8; BYTES] {
    bytes.try_into().unwrap_or([0; BYTES])
}
