//! The entity references of a resource, in OTLP's JSON.

use std::borrow::Cow;

use spillway_proto::otlp::visit::{EntityRef, EntityRefFields};

use super::json::put_text;

/// A JSON array that grows by a reference at a time.
#[derive(Default)]
pub(super) struct EntityRefsJson(Vec<u8>);

impl EntityRefsJson {
    pub(super) fn add(&mut self, entity_ref: EntityRef<'_>) {
        let EntityRefFields { schema_url, entity_type, id_keys, description_keys } = entity_ref.fields();
        self.0.push(if self.0.is_empty() { b'[' } else { b',' });
        self.0.push(b'{');
        let mut fields = Fields { out: &mut self.0, is_first: true };
        fields.text("schemaUrl", schema_url);
        fields.text("type", entity_type);
        fields.list("idKeys", &id_keys);
        fields.list("descriptionKeys", &description_keys);
        self.0.push(b'}');
    }

    /// The array, where it is wanted and anything is in it, else nothing. The next one begins.
    pub(super) fn take(&mut self, is_wanted: bool) -> Vec<u8> {
        let mut array = std::mem::take(&mut self.0);
        if !is_wanted {
            array.clear();
        } else if !array.is_empty() {
            array.push(b']');
        }
        array
    }
}

/// The fields of an object; those without anything in them are left out.
struct Fields<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

impl Fields<'_> {
    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b',');
        }
        put_text(self.out, name.as_bytes());
        self.out.push(b':');
    }

    fn text(&mut self, name: &str, text: &[u8]) {
        if !text.is_empty() {
            self.name(name);
            put_text(self.out, &repaired(text));
        }
    }

    fn list(&mut self, name: &str, texts: &[&[u8]]) {
        if texts.is_empty() {
            return;
        }
        self.name(name);
        for (index, text) in texts.iter().enumerate() {
            self.out.push(if index == 0 { b'[' } else { b',' });
            put_text(self.out, &repaired(text));
        }
        self.out.push(b']');
    }
}

fn repaired(text: &[u8]) -> Cow<'_, [u8]> {
    match String::from_utf8_lossy(text) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}
