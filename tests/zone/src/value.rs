//! Values of Terraform and JSON that know where they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Deserializer};

use crate::finding::Origin;

/// A value. Objects and maps are not told apart, nor are tuples and lists; what depends on the difference is not evaluated.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, which is the same as an argument that is missing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Whole(i64),
    /// Any other number. It can be passed on; nothing is computed from it.
    Fraction(f64),
    /// A string.
    Text(String),
    /// A list or tuple.
    List(Vec<Item>),
    /// A set of strings, in the order in which Terraform goes over it.
    Set(BTreeSet<String>),
    /// An object or map. Terraform goes over it in the order of its keys.
    Object(BTreeMap<String, Item>),
    /// A value that only the provider knows: the reference that leads to it.
    Unknown(String),
}

/// A value within another one, and where it is written.
#[derive(Debug, Clone)]
pub struct Item {
    /// The value.
    pub value: Value,
    /// Where it is written.
    pub origin: Option<Origin>,
}

impl PartialEq for Item {
    /// The same value, wherever it is written.
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl From<Value> for Item {
    fn from(value: Value) -> Self {
        Self { value, origin: None }
    }
}

impl Value {
    /// A list of values that are written nowhere.
    pub fn list(values: impl IntoIterator<Item = Self>) -> Self {
        Self::List(values.into_iter().map(Item::from).collect())
    }

    /// What it is called in a message.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Whole(_) => "a number",
            Self::Fraction(_) => "a fraction",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Set(_) => "a set",
            Self::Object(_) => "an object",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The string, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a key, if it is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Item> {
        match self {
            Self::Object(object) => object.get(key),
            _ => None,
        }
    }

    /// Whether it is a list, a set or an object.
    pub fn is_collection(&self) -> bool {
        matches!(self, Self::List(_) | Self::Set(_) | Self::Object(_))
    }

    /// The reference of an unknown value, at any depth.
    pub fn unknown(&self) -> Option<&str> {
        self.find_unknown(&|_| true)
    }

    /// The first reference of an unknown value, at any depth, for which `is` holds.
    pub fn find_unknown(&self, is: &impl Fn(&str) -> bool) -> Option<&str> {
        match self {
            Self::Unknown(reference) => Some(reference.as_str()).filter(|reference| is(reference)),
            Self::List(items) => items.iter().find_map(|item| item.value.find_unknown(is)),
            Self::Object(object) => object.values().find_map(|item| item.value.find_unknown(is)),
            _ => None,
        }
    }

    /// As JSON. Terraform has no order of keys but the alphabetic one.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null | Self::Unknown(_) => serde_json::Value::Null,
            Self::Bool(bool) => (*bool).into(),
            Self::Whole(whole) => (*whole).into(),
            Self::Fraction(fraction) => (*fraction).into(),
            Self::Text(text) => text.as_str().into(),
            Self::List(items) => items.iter().map(|item| item.value.to_json()).collect(),
            Self::Set(set) => set.iter().map(String::as_str).collect(),
            Self::Object(object) => {
                object.iter().map(|(key, item)| (key.clone(), item.value.to_json())).collect()
            }
        }
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(bool) => Self::Bool(bool),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(whole) => Self::Whole(whole),
                None => Self::Fraction(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Array(values) => Self::list(values.into_iter().map(Self::from)),
            serde_json::Value::Object(object) => {
                let items = object.into_iter().map(|(key, value)| (key, Self::from(value).into()));
                Self::Object(items.collect())
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(Self::from)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_json().fmt(f)
    }
}
