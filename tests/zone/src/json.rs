//! JSON with the line of each value.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::finding::{Findings, Origin};
use crate::value::{Item, Value};

/// Reads a JSON text; `file` is what findings call it.
///
/// # Errors
///
/// It is not JSON, or an object has a name twice, of which readers take one in silence.
pub fn read(file: &str, text: &str) -> Result<Item, Findings> {
    let mut findings = Findings::default();
    // Checks the syntax and limits the depth, so that what follows need not.
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        let origin = Origin { file: file.into(), line: error.line() };
        findings.add(Some(&origin), "", format!("this is not JSON: {error}"));
        return Err(findings);
    }
    let mut reader = Reader { file: file.into(), text, at: 0, line: 1, findings };
    let item = reader.item();
    reader.findings.or(item)
}

/// Reads text that is known to be JSON.
struct Reader<'t> {
    file: Arc<str>,
    text: &'t str,
    at: usize,
    line: usize,
    findings: Findings,
}

impl Reader<'_> {
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or_default()
    }

    /// The next byte after spaces; colons and commas say nothing in a text whose syntax is known to be right.
    fn next(&mut self) -> u8 {
        while matches!(self.peek(), b' ' | b'\t' | b'\r' | b'\n' | b',' | b':') {
            self.line += usize::from(self.peek() == b'\n');
            self.at += 1;
        }
        self.peek()
    }

    fn item(&mut self) -> Item {
        let first = self.next();
        let origin = Some(Origin { file: Arc::clone(&self.file), line: self.line });
        let value = match first {
            b'{' => Value::Object(self.object()),
            b'[' => Value::List(self.list()),
            _ => self.scalar(),
        };
        Item { value, origin }
    }

    fn object(&mut self) -> BTreeMap<String, Item> {
        self.at += 1;
        let mut object = BTreeMap::new();
        while self.next() == b'"' {
            let origin = Origin { file: Arc::clone(&self.file), line: self.line };
            let name = self.scalar().as_text().unwrap_or_default().to_owned();
            let item = Item { origin: Some(origin.clone()), ..self.item() };
            if object.contains_key(&name) {
                self.findings.add(Some(&origin), "", format!("`{name}` stands twice in one object"));
            }
            object.insert(name, item);
        }
        self.at += 1;
        object
    }

    fn list(&mut self) -> Vec<Item> {
        self.at += 1;
        let mut items = Vec::new();
        while self.next() != b']' {
            items.push(self.item());
        }
        self.at += 1;
        items
    }

    /// A string, a number, `true`, `false` or `null`.
    fn scalar(&mut self) -> Value {
        let rest = &self.text[self.at..];
        let length = if rest.starts_with('"') {
            let mut escaped = false;
            let end = rest.bytes().skip(1).position(|byte| {
                let is_end = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                is_end
            });
            end.map_or(rest.len(), |end| end + 2)
        } else {
            rest.find([',', ':', ']', '}', ' ', '\t', '\r', '\n']).unwrap_or(rest.len())
        };
        self.at += length;
        serde_json::from_str::<serde_json::Value>(&rest[..length]).map_or(Value::Null, Value::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_lines() {
        let text =
            "\n{ \"a\": [1,\n  {\"b\\\"\": -2.5e1, \"c\":\n null}], \"d\": {}, \"e\": [], \"f\" : true }";
        let item = read("x.json", text).expect("JSON");
        let expected: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(item.value, Value::from(expected));
        let Some(Item { value: Value::List(list), .. }) = item.value.get("a") else { panic!("{item:?}") };
        let line = |item: &Item| item.origin.as_ref().expect("an origin").line;
        assert_eq!((line(&item), line(&list[0]), line(&list[1])), (2, 2, 3));
        let inner = |name| line(list[1].value.get(name).expect("a value"));
        assert_eq!((inner("b\""), inner("c")), (3, 3));
        assert_eq!(item.value.get("f").map(line), Some(4));
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_line() {
        for (text, named) in
            [("{\n\"a\": }", "x.json:2: this is not JSON"), ("{\"a\":1,\n\"a\":2}", "x.json:2: `a`")]
        {
            let findings = read("x.json", text).expect_err(named).to_string();
            assert!(findings.starts_with(named), "{findings}");
        }
    }
}
