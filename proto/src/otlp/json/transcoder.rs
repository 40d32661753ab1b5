//! Requests, resources and scopes.

use super::super::repair::{Repair, RepairedRun, RepairedRuns, Repairs};
use super::error::{Fault, JsonError, Read};
use super::reader::{Reader, Token};
use super::text::Text;
use super::writer::{Message, Writer};

/// A request that came as JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcoded {
    /// An `ExportTraceServiceRequest` in protobuf.
    pub message: Vec<u8>,
    /// What was repaired, by the spans' positions. The protobuf does not show it any more.
    pub repairs: RepairedRuns,
}

/// The protobuf of a request in JSON.
pub fn transcode(body: &[u8]) -> Result<Transcoded, Box<JsonError>> {
    let mut transcoder = Transcoder {
        reader: Reader::new(body),
        // Most requests take less in protobuf than half of this.
        writer: Writer::with_capacity(body.len() / 2),
        runs: Vec::new(),
        position: 0,
        unusable: Unusable::default(),
        path: Vec::new(),
    };
    let mut root = transcoder.writer.root();
    let read = transcoder.request(&mut root);
    read.and_then(|()| transcoder.unusable.check(transcoder.position))
        .map_err(|error| error.located(body))?;
    Ok(Transcoded { message: transcoder.writer.finish(root), repairs: RepairedRuns::new(transcoder.runs) })
}

/// What is passed over among the spans of a request. A request that has nothing else comes from an SDK that cannot be right, and
/// is told so.
#[derive(Default)]
pub(super) struct Unusable {
    /// Those that are written without an id, and are rejected: their ids are not hexadecimal, or they are no objects.
    spans: u32,
    first: Option<Box<JsonError>>,
}

impl Unusable {
    /// A span.
    pub(super) fn span(&mut self, error: Box<JsonError>) {
        self.spans += 1;
        self.element(error);
    }

    /// Something that holds no spans where spans belong.
    fn element(&mut self, error: Box<JsonError>) {
        self.first.get_or_insert(error);
    }

    fn check(&mut self, spans: u32) -> Read<()> {
        match self.first.take() {
            Some(first) if self.spans == spans => Err(first),
            _ => Ok(()),
        }
    }
}

pub(super) struct Transcoder<'t> {
    pub(super) reader: Reader<'t>,
    pub(super) writer: Writer,
    runs: Vec<RepairedRun>,
    /// That of the next span.
    pub(super) position: u32,
    pub(super) unusable: Unusable,
    /// The lists of objects that the reader is in, and which element of each.
    path: Vec<(&'static str, usize)>,
}

/// Goes through the fields of an object; each arm reads the value. Unknown fields are passed over, after `$unknown`.
macro_rules! fields {
    ($transcoder:ident, $($($name:literal)|+ => $arm:expr,)* $(_ => $unknown:expr,)?) => {{
        let mut is_first = true;
        while let Some(name) = $transcoder.reader.next_name(&mut is_first)? {
            match &*name.ascii() {
                $($($name)|+ => $arm,)*
                _ => {
                    $($unknown;)?
                    $transcoder.reader.skip()?;
                }
            }
        }
    }};
}
pub(super) use fields;

impl<'t> Transcoder<'t> {
    fn request(&mut self, root: &mut Message) -> Read<()> {
        let place = self.reader.place();
        if self.reader.value()? != Token::Object {
            return Err(self.reader.fault_at(Fault::NoObject, place));
        }
        let mut found = Repairs::NONE;
        fields!(self,
            "resourceSpans" | "resource_spans" => {
                self.objects("resourceSpans", &mut found, |transcoder, element, found| match element {
                    Element::Object => transcoder.resource_spans(root),
                    Element::Other(error) => transcoder.no_spans(error, found),
                })?;
            },
        );
        self.note(0, found);
        self.reader.end()
    }

    fn resource_spans(&mut self, parent: &mut Message) -> Read<()> {
        let (first, mut found) = (self.position, Repairs::NONE);
        let mut message = self.writer.begin(parent, 1);
        fields!(self,
            "resource" => {
                if self.begins_object(&mut found)? {
                    self.resource(&mut message, &mut found)?;
                }
            },
            "scopeSpans" | "scope_spans" => {
                self.scopes("scopeSpans", &mut message, &mut found)?;
            },
            // As scopes were called before 2022.
            "instrumentationLibrarySpans" | "instrumentation_library_spans" => {
                self.scopes("instrumentationLibrarySpans", &mut message, &mut found)?;
            },
            "schemaUrl" | "schema_url" => self.text(&mut message, 3, &mut found)?,
        );
        self.writer.end(message);
        self.note(first, found);
        Ok(())
    }

    fn resource(&mut self, parent: &mut Message, found: &mut Repairs) -> Read<()> {
        let mut message = self.writer.begin(parent, 1);
        let mut dropped = Dropped::default();
        fields!(self,
            "attributes" => dropped.here += self.attributes(&mut message, 1, depth::RESOURCE, found)?,
            "droppedAttributesCount" | "dropped_attributes_count" => dropped.by_sender = self.int(found)?,
            "entityRefs" | "entity_refs" => self.entity_refs(&mut message, found)?,
        );
        self.dropped(&mut message, 2, dropped);
        self.writer.end(message);
        Ok(())
    }

    fn entity_refs(&mut self, parent: &mut Message, found: &mut Repairs) -> Read<()> {
        let read = self.list(found, |transcoder, found| {
            if !transcoder.begins_object(found)? {
                return Ok(());
            }
            let mut message = transcoder.writer.begin(parent, 3);
            fields!(transcoder,
                "schemaUrl" | "schema_url" => transcoder.text(&mut message, 1, found)?,
                "type" => transcoder.text(&mut message, 2, found)?,
                "idKeys" | "id_keys" => transcoder.texts(&mut message, 3, found)?,
                "descriptionKeys" | "description_keys" => transcoder.texts(&mut message, 4, found)?,
            );
            transcoder.writer.end(message);
            Ok(())
        });
        read.map(drop)
    }

    fn texts(&mut self, message: &mut Message, field: u32, found: &mut Repairs) -> Read<()> {
        let read = self.list(found, |transcoder, found| {
            let place = transcoder.reader.place();
            let token = transcoder.reader.value()?;
            if let Some(text) = transcoder.as_text(&token, place, found)? {
                transcoder.writer.bytes(message, field, &text);
            }
            Ok(())
        });
        read.map(drop)
    }

    fn scopes(&mut self, field: &'static str, parent: &mut Message, found: &mut Repairs) -> Read<()> {
        self.objects(field, found, |transcoder, element, found| match element {
            Element::Object => transcoder.scope_spans(parent),
            Element::Other(error) => transcoder.no_spans(error, found),
        })
    }

    fn scope_spans(&mut self, parent: &mut Message) -> Read<()> {
        let (first, mut found) = (self.position, Repairs::NONE);
        let mut message = self.writer.begin(parent, 2);
        fields!(self,
            "scope" | "instrumentationLibrary" | "instrumentation_library" => {
                if self.begins_object(&mut found)? {
                    self.scope(&mut message, &mut found)?;
                }
            },
            "spans" => self.objects("spans", &mut found, |transcoder, element, _| {
                match element {
                    Element::Object => transcoder.span(&mut message)?,
                    Element::Other(error) => transcoder.no_span(&mut message, error),
                }
                Ok(())
            })?,
            "schemaUrl" | "schema_url" => self.text(&mut message, 3, &mut found)?,
        );
        self.writer.end(message);
        self.note(first, found);
        Ok(())
    }

    fn scope(&mut self, parent: &mut Message, found: &mut Repairs) -> Read<()> {
        let mut message = self.writer.begin(parent, 1);
        let mut dropped = Dropped::default();
        fields!(self,
            "name" => self.text(&mut message, 1, found)?,
            "version" => self.text(&mut message, 2, found)?,
            "attributes" => dropped.here += self.attributes(&mut message, 3, depth::SCOPE, found)?,
            "droppedAttributesCount" | "dropped_attributes_count" => dropped.by_sender = self.int(found)?,
        );
        self.dropped(&mut message, 4, dropped);
        self.writer.end(message);
        Ok(())
    }

    /// Notes the repairs of all spans from `first` on.
    pub(super) fn note(&mut self, first: u32, repairs: Repairs) {
        if !repairs.is_empty() {
            self.runs.push(RepairedRun { first, spans: self.position - first, repairs });
        }
    }

    /// Passes over an element that holds no spans, and notes it for the spans beside it.
    fn no_spans(&mut self, error: Box<JsonError>, found: &mut Repairs) -> Read<()> {
        found.insert(Repair::WrongType);
        self.unusable.element(error);
        Ok(())
    }

    /// A list that holds spans, whose elements are objects; or one such object, as converters from XML write a list of one.
    /// `each` reads an element.
    fn objects(
        &mut self,
        field: &'static str,
        found: &mut Repairs,
        mut each: impl FnMut(&mut Self, Element, &mut Repairs) -> Read<()>,
    ) -> Read<()> {
        let (place, depth) = (self.reader.place(), self.path.len());
        let token = self.reader.value().map_err(|error| error.within(field, None))?;
        if !matches!(token, Token::List | Token::Object) {
            if token != Token::Null {
                found.insert(Repair::WrongType);
                self.unusable.element(self.fault_of_field(Fault::NoList, place, field));
            }
            return self.reader.skip_rest(&token);
        }
        let mut is_first = true;
        self.path.push((field, 0));
        if token == Token::Object {
            found.insert(Repair::WrongType);
            each(self, Element::Object, found).map_err(|error| error.within(field, None))?;
        } else {
            while self.next_object(&mut is_first, found, &mut each).map_err(|error| {
                let index = self.path.get(depth).map(|(_, index)| *index);
                error.within(field, index)
            })? {
                self.path[depth].1 += 1;
            }
        }
        self.path.truncate(depth);
        Ok(())
    }

    /// A fault of a field of the object that the reader is in.
    #[cold]
    pub(super) fn fault_of_field(&self, fault: Fault, place: usize, field: &'static str) -> Box<JsonError> {
        self.fault_within(self.reader.fault_at(fault, place).within(field, None))
    }

    /// An error with the path of the object that the reader is in.
    #[cold]
    fn fault_within(&self, error: Box<JsonError>) -> Box<JsonError> {
        self.path.iter().rev().fold(error, |error, (field, index)| error.within(field, Some(*index)))
    }

    fn next_object(
        &mut self,
        is_first: &mut bool,
        found: &mut Repairs,
        each: &mut impl FnMut(&mut Self, Element, &mut Repairs) -> Read<()>,
    ) -> Read<bool> {
        if !self.reader.next_element(is_first)? {
            return Ok(false);
        }
        let place = self.reader.place();
        match self.reader.value()? {
            Token::Object => each(self, Element::Object, found)?,
            Token::Null => {}
            other => {
                self.reader.skip_rest(&other)?;
                let error = self.fault_within(self.reader.fault_at(Fault::NoObject, place));
                each(self, Element::Other(error), found)?;
            }
        }
        Ok(true)
    }

    /// A list of what a span can do without. `each` reads the elements. Returns whether it was a list, or null.
    pub(super) fn list(
        &mut self,
        found: &mut Repairs,
        mut each: impl FnMut(&mut Self, &mut Repairs) -> Read<()>,
    ) -> Read<bool> {
        let token = self.reader.value()?;
        if token != Token::List {
            self.leave_out(&token, found)?;
            return Ok(token == Token::Null);
        }
        let mut is_first = true;
        while self.reader.next_element(&mut is_first)? {
            each(self, found)?;
        }
        Ok(true)
    }

    /// Whether the next value is an object, whose fields are next then. Null is none, and anything else of the wrong type.
    pub(super) fn begins_object(&mut self, found: &mut Repairs) -> Read<bool> {
        let token = self.reader.value()?;
        if token == Token::Object {
            return Ok(true);
        }
        self.leave_out(&token, found)?;
        Ok(false)
    }

    /// Passes over a value that its field cannot hold, unless it is null.
    pub(super) fn leave_out(&mut self, token: &Token<'_>, found: &mut Repairs) -> Read<()> {
        if *token != Token::Null {
            found.insert(Repair::WrongType);
        }
        self.reader.skip_rest(token)
    }

    /// A text field.
    #[inline]
    pub(super) fn text(&mut self, message: &mut Message, field: u32, found: &mut Repairs) -> Read<()> {
        let place = self.reader.place();
        let token = self.reader.value()?;
        if let Some(text) = self.as_text(&token, place, found)?
            && !text.is_empty()
        {
            self.writer.bytes(message, field, &text);
        }
        Ok(())
    }

    /// The text that a value is, none if it is null. One of another type is the JSON that was sent.
    #[inline]
    pub(super) fn as_text(
        &mut self,
        token: &Token<'t>,
        place: usize,
        found: &mut Repairs,
    ) -> Read<Option<std::borrow::Cow<'t, [u8]>>> {
        match token {
            Token::Text(text) => Ok(Some(text.read(found))),
            Token::Null => Ok(None),
            other => {
                found.insert(Repair::WrongType);
                self.reader.skip_rest(other)?;
                Ok(Some(Text::new(self.reader.since(place), false).read(found)))
            }
        }
    }

    /// Writes how many were left out, by the sender and here.
    pub(super) fn dropped(&mut self, message: &mut Message, field: u32, dropped: Dropped) {
        let count = dropped.by_sender.saturating_add(dropped.here);
        if count > 0 {
            self.writer.number(message, field, count.into());
        }
    }

    /// An integer as a number or as text; 0 where it is null, or of the wrong type or range.
    pub(super) fn int<T: TryFrom<i128> + Default>(&mut self, found: &mut Repairs) -> Read<T> {
        let token = self.reader.value()?;
        let whole = match &token {
            Token::Number(number) => super::number::whole(number),
            Token::Text(text) => super::number::whole(&text.ascii()),
            _ => None,
        };
        match whole.and_then(|whole| T::try_from(whole).ok()) {
            Some(int) => Ok(int),
            None => self.leave_out(&token, found).map(|()| T::default()),
        }
    }
}

/// An element of a list that holds spans.
enum Element {
    /// Its fields are next.
    Object,
    /// It is no object, and was passed over.
    Other(Box<JsonError>),
}

/// How many attributes, events or links a message goes without.
#[derive(Default, Clone, Copy)]
pub(super) struct Dropped {
    pub(super) by_sender: u32,
    /// For what they are.
    pub(super) here: u32,
}

/// How deep messages may nest in an attribute: a hundred deep in all, as the consumer reads them.
pub(super) mod depth {
    pub(crate) const RESOURCE: u32 = 97;
    pub(crate) const SCOPE: u32 = 96;
    pub(crate) const SPAN: u32 = 96;
    pub(crate) const OF_SPAN: u32 = 95;
}
