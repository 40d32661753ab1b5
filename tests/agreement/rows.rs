//! Rows of a traces table, in the columns that both tables have.

use std::fmt;

use anyhow::Result;
use clickhouse::{Client, Row};
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// A text of the table. The exporter stores bytes that are not UTF-8 as they are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Text(pub Vec<u8>);

/// A map column: keys and values, in the order in which they are stored.
pub type Map = Vec<(Text, Text)>;

/// A row in the columns that the exporter writes; the fields have the columns' names.
#[derive(Debug, Clone, PartialEq, Row, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CommonRow {
    pub timestamp: i64,
    pub trace_id: Text,
    pub span_id: Text,
    pub parent_span_id: Text,
    pub trace_state: Text,
    pub span_name: Text,
    pub span_kind: Text,
    pub service_name: Text,
    pub resource_attributes: Map,
    pub scope_name: Text,
    pub scope_version: Text,
    pub span_attributes: Map,
    pub duration: u64,
    pub status_code: Text,
    pub status_message: Text,
    #[serde(rename = "Events.Timestamp")]
    pub event_timestamps: Vec<i64>,
    #[serde(rename = "Events.Name")]
    pub event_names: Vec<Text>,
    #[serde(rename = "Events.Attributes")]
    pub event_attributes: Vec<Map>,
    #[serde(rename = "Links.TraceId")]
    pub link_trace_ids: Vec<Text>,
    #[serde(rename = "Links.SpanId")]
    pub link_span_ids: Vec<Text>,
    #[serde(rename = "Links.TraceState")]
    pub link_trace_states: Vec<Text>,
    #[serde(rename = "Links.Attributes")]
    pub link_attributes: Vec<Map>,
}

/// A column of a table, as `system.columns` has it.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub column_type: String,
}

/// The columns of a table, in their order.
pub async fn columns(client: &Client, database: &str, table: &str) -> Result<Vec<Column>> {
    let query = "SELECT name, type FROM system.columns WHERE database = ? AND table = ? ORDER BY position";
    Ok(client.query(query).bind(database).bind(table).fetch_all().await?)
}

/// All rows of `table`, by the spans' ids.
pub async fn rows(client: &Client, table: &str) -> Result<Vec<CommonRow>> {
    let names: Vec<_> = CommonRow::COLUMN_NAMES.iter().map(|name| format!("`{name}`")).collect();
    let query = format!("SELECT {} FROM {table} ORDER BY SpanId", names.join(", "));
    Ok(client.query_raw(&query).fetch_all().await?)
}

impl CommonRow {
    /// Each column's name and what the row has in it.
    pub fn cells(&self) -> Vec<(&'static str, String)> {
        let texts = [
            format!("{:?}", self.timestamp),
            format!("{:?}", self.trace_id),
            format!("{:?}", self.span_id),
            format!("{:?}", self.parent_span_id),
            format!("{:?}", self.trace_state),
            format!("{:?}", self.span_name),
            format!("{:?}", self.span_kind),
            format!("{:?}", self.service_name),
            map_text(&self.resource_attributes),
            format!("{:?}", self.scope_name),
            format!("{:?}", self.scope_version),
            map_text(&self.span_attributes),
            format!("{:?}", self.duration),
            format!("{:?}", self.status_code),
            format!("{:?}", self.status_message),
            format!("{:?}", self.event_timestamps),
            format!("{:?}", self.event_names),
            maps_text(&self.event_attributes),
            format!("{:?}", self.link_trace_ids),
            format!("{:?}", self.link_span_ids),
            format!("{:?}", self.link_trace_states),
            maps_text(&self.link_attributes),
        ];
        Self::COLUMN_NAMES.iter().copied().zip(texts).collect()
    }

    /// The columns in which two rows differ, and what they have there.
    pub fn differing(&self, other: &Self) -> Vec<(&'static str, String, String)> {
        let both = self.cells().into_iter().zip(other.cells());
        both.filter(|((_, one), (_, two))| one != two)
            .map(|((name, one), (_, two))| (name, one, two))
            .collect()
    }
}

fn map_text(map: &Map) -> String {
    let pairs: Vec<_> = map.iter().map(|(key, value)| format!("{key:?}: {value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn maps_text(maps: &[Map]) -> String {
    format!("[{}]", maps.iter().map(map_text).collect::<Vec<_>>().join(", "))
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match str::from_utf8(&self.0) {
            Ok(text) => write!(f, "{text:?}"),
            Err(_) => write!(f, "b\"{}\"", self.0.escape_ascii()),
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of a text")
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Text, E> {
                Ok(Text(bytes))
            }
        }

        deserializer.deserialize_byte_buf(Bytes)
    }
}
