//! The order of the fields in OTLP's messages.

use std::fmt;

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use crate::written::{Form, written};

/// An order of fields, in every message of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Fields by their numbers, as SDKs write them: a key before its value, a scope before its spans
    #[default]
    Ascending,
    /// The other way round, as the Collector writes them since pdata 1.40: a value before its key, spans before their scope
    Descending,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ascending => "ascending",
            Self::Descending => "descending",
        })
    }
}

/// A request that `prost` has encoded, with its fields in this order.
pub fn in_order(request: Vec<u8>, order: Order) -> Result<Vec<u8>> {
    match order {
        // `prost` writes them so.
        Order::Ascending => Ok(request),
        Order::Descending => written(&request, Form::InOrder(order)),
    }
}
