//! Reads a block of ClickHouse's Native format, value by value, as JSON: <https://clickhouse.com/docs/interfaces/formats/Native>.
//! It is for checks, and shares nothing with what writes blocks.

use serde_json::{Map, Value as Json};

/// The rows of a block that ends where `bytes` do: objects whose fields have the columns' names. Maps are lists of pairs.
/// Panics where it is no block.
pub fn rows(bytes: &[u8]) -> Vec<Map<String, Json>> {
    let mut reader = Reader { rest: bytes };
    let (columns, rows) = (reader.number(), reader.number());
    let mut table = vec![Map::new(); rows];
    for _ in 0..columns {
        let (name, column_type) = (reader.text(), reader.text());
        let column_type = Type::of(&column_type);
        reader.prefix(&column_type);
        let values = reader.values(&column_type, rows);
        assert_eq!(values.len(), rows, "{name}");
        for (row, value) in table.iter_mut().zip(values) {
            row.insert(name.clone(), value);
        }
    }
    assert!(reader.rest.is_empty(), "{} bytes after the block", reader.rest.len());
    table
}

enum Type {
    Text,
    Unsigned32,
    Unsigned64,
    Signed64,
    LowCardinality,
    /// Of keys that are [`Self::LowCardinality`], to values of this type.
    Map(Box<Self>),
    Array(Box<Self>),
}

impl Type {
    fn of(name: &str) -> Self {
        match name {
            "String" => Self::Text,
            "UInt32" => Self::Unsigned32,
            "UInt64" => Self::Unsigned64,
            "DateTime64(3)" | "DateTime64(9)" => Self::Signed64,
            "LowCardinality(String)" => Self::LowCardinality,
            _ => {
                let of = |prefix: &str| {
                    name.strip_prefix(prefix)?.strip_suffix(")").map(|of| Box::new(Self::of(of)))
                };
                let map = || of("Map(LowCardinality(String), ").map(Self::Map);
                of("Array(").map(Self::Array).or_else(map).unwrap_or_else(|| panic!("a type: {name}"))
            }
        }
    }
}

struct Reader<'b> {
    rest: &'b [u8],
}

impl Reader<'_> {
    fn take(&mut self, bytes: usize) -> &[u8] {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn fixed<const BYTES: usize>(&mut self) -> [u8; BYTES] {
        self.take(BYTES).try_into().expect("so many were taken")
    }

    fn length(&mut self) -> usize {
        usize::try_from(u64::from_le_bytes(self.fixed())).expect("a length")
    }

    fn number(&mut self) -> usize {
        let (mut number, mut shift) = (0, 0);
        loop {
            let [byte] = self.fixed();
            number |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return number;
            }
        }
    }

    fn text(&mut self) -> String {
        let length = self.number();
        String::from_utf8(self.take(length).to_vec()).expect("UTF-8")
    }

    fn prefix(&mut self, column_type: &Type) {
        match column_type {
            Type::LowCardinality => assert_eq!(self.length(), 1, "the version of dictionaries"),
            Type::Map(value) => {
                self.prefix(&Type::LowCardinality);
                self.prefix(value);
            }
            Type::Array(element) => self.prefix(element),
            Type::Text | Type::Unsigned32 | Type::Unsigned64 | Type::Signed64 => {}
        }
    }

    fn values(&mut self, column_type: &Type, rows: usize) -> Vec<Json> {
        let mut each = |read: &mut dyn FnMut(&mut Self) -> Json| (0..rows).map(|_| read(self)).collect();
        match column_type {
            Type::Text => each(&mut |reader| reader.text().into()),
            Type::Unsigned32 => each(&mut |reader| u32::from_le_bytes(reader.fixed()).into()),
            Type::Unsigned64 => each(&mut |reader| u64::from_le_bytes(reader.fixed()).into()),
            Type::Signed64 => each(&mut |reader| i64::from_le_bytes(reader.fixed()).into()),
            Type::LowCardinality => self.low_cardinality(rows),
            Type::Array(element) => {
                let ends = self.ends(rows);
                let elements = self.values(element, ends.last().copied().unwrap_or_default());
                by_ends(&ends, elements)
            }
            Type::Map(value) => {
                let ends = self.ends(rows);
                let pairs = ends.last().copied().unwrap_or_default();
                let keys = self.low_cardinality(pairs);
                let values = self.values(value, pairs);
                by_ends(&ends, keys.into_iter().zip(values).map(|(key, value)| Json::Array(vec![key, value])))
            }
        }
    }

    fn ends(&mut self, rows: usize) -> Vec<usize> {
        (0..rows).map(|_| self.length()).collect()
    }

    fn low_cardinality(&mut self, rows: usize) -> Vec<Json> {
        if rows == 0 {
            return Vec::new();
        }
        let flags = self.length();
        assert_eq!(flags >> 8, 6, "its own dictionary, and no other");
        let texts = self.length();
        let texts: Vec<_> = (0..texts).map(|_| self.text()).collect();
        assert_eq!(self.length(), rows);
        let mut used = vec![false; texts.len()];
        let mut one = || {
            let number = match flags & 0xff {
                0 => self.fixed::<1>()[0].into(),
                1 => u16::from_le_bytes(self.fixed()).into(),
                2 => u32::from_le_bytes(self.fixed()) as usize,
                width => panic!("a width: {width}"),
            };
            used[number] = true;
            texts[number].clone().into()
        };
        let values = (0..rows).map(|_| one()).collect();
        assert!(used.iter().all(|used| *used), "no text is there in vain");
        values
    }
}

fn by_ends(ends: &[usize], elements: impl IntoIterator<Item = Json>) -> Vec<Json> {
    let (mut elements, mut start) = (elements.into_iter(), 0);
    ends.iter()
        .map(|end| {
            let array = elements.by_ref().take(end - start).collect();
            start = *end;
            Json::Array(array)
        })
        .collect()
}
