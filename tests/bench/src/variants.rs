//! Tables: the one that is shipped, with parts of it left out or written otherwise.

/// What is shipped.
const SHIPPED: &str = include_str!("../../../origin-consumer/migrations/schema.sql");
/// What was shipped first: times and partitions without a zone, as the Collector's exporter has them.
const FIRST: &str = include_str!("../../../origin-consumer/migrations/0001_otel_traces.sql");
/// Our own columns in the first one.
const OWN_FIRST: &str = "    TenantId LowCardinality";
const OWN_LAST: &str = "    ScopeAttributes Map";
/// What it says of how strings lie in a part, and the server's own way, which is the stock table's.
const STRINGS: (&str, &str) = (",\n    string_serialization_version = 'single_stream'", "");

/// By which key the rows of a batch, and of the table, are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// As it is shipped.
    TenantFirst,
    /// As the Collector's exporter has it.
    ServiceFirst,
}

impl Key {
    /// The columns.
    pub fn columns(self) -> &'static str {
        match self {
            Self::TenantFirst => "TenantId, ServiceName, SpanName, toDateTime(Timestamp)",
            Self::ServiceFirst => "ServiceName, SpanName, toDateTime(Timestamp)",
        }
    }

    /// The table that holds the rows in this order.
    pub fn source(self) -> &'static str {
        match self {
            Self::TenantFirst => "tenant_first",
            Self::ServiceFirst => "service_first",
        }
    }
}

/// A schema.
#[derive(Debug, Clone)]
pub struct Variant {
    /// What the tables call it.
    pub name: &'static str,
    /// The database that it is made in.
    pub database: &'static str,
    /// What is changed.
    of: &'static str,
    /// Beginnings of lines that are left out.
    without: &'static [&'static str],
    /// What is written otherwise, and how.
    instead: Option<(&'static str, &'static str)>,
    /// Whether it has the columns that are not the Collector's.
    pub own_columns: bool,
    /// Its order.
    pub key: Key,
    view: bool,
}

impl Variant {
    const fn shipped_without(
        name: &'static str,
        database: &'static str,
        without: &'static [&'static str],
    ) -> Self {
        let (of, instead, key) = (SHIPPED, None, Key::TenantFirst);
        Self { name, database, of, without, instead, own_columns: true, key, view: true }
    }

    /// What it is made by.
    pub fn statements(&self) -> Vec<String> {
        let mut own = false;
        let lines = self.of.lines().filter(|line| {
            own |= line.starts_with(OWN_FIRST);
            let is_own = own;
            own &= !line.starts_with(OWN_LAST);
            let left_out = self.without.iter().any(|part| line.trim_start().starts_with(part));
            !left_out && (self.own_columns || !is_own)
        });
        let mut sql = lines.collect::<Vec<_>>().join("\n") + "\n";
        if let Some((shipped, instead)) = self.instead {
            sql = sql.replace(shipped, instead);
        }
        let statements = sql.split(";\n").map(str::trim).filter(|statement| !statement.is_empty());
        let statements = statements.enumerate().filter(|(number, _)| *number == 0 || self.view);
        let key = format!("ORDER BY ({})", self.key.columns());
        let shipped_key = format!("ORDER BY ({})", Key::TenantFirst.columns());
        statements
            .map(|(_, statement)| without_trailing_comma(&statement.replace(&shipped_key, &key)))
            .collect()
    }
}

/// The last of a table's parts may have been left out.
fn without_trailing_comma(statement: &str) -> String {
    let Some((parts, engine)) = statement.split_once("\n)\nENGINE") else { return statement.to_owned() };
    let mut lines: Vec<&str> = parts.lines().collect();
    while lines.last().is_some_and(|line| line.trim().is_empty() || line.trim_start().starts_with("--")) {
        lines.pop();
    }
    let parts = lines.join("\n");
    format!("{}\n)\nENGINE{engine}", parts.trim_end().trim_end_matches(','))
}

/// The table that is shipped.
pub const SHIPPED_TABLE: Variant = Variant::shipped_without("shipped", "shipped", &[]);

/// The table that was shipped first.
pub const FIRST_TABLE: Variant =
    Variant { of: FIRST, ..Variant::shipped_without("the first layout", "first_layout", &[]) };

/// The table of the Collector's exporter: its columns, its indexes, its key.
pub const STOCK_TABLE: Variant = Variant {
    name: "stock",
    database: "stock",
    of: FIRST,
    without: &["PROJECTION"],
    instead: Some(STRINGS),
    own_columns: false,
    key: Key::ServiceFirst,
    view: true,
};

/// All that are compared; each but the stock ones is the shipped one without one part, or with one that is otherwise.
pub const ALL: [Variant; 16] = [
    SHIPPED_TABLE,
    FIRST_TABLE,
    STOCK_TABLE,
    Variant { name: "stock, with our columns", database: "stock_with_own", own_columns: true, ..STOCK_TABLE },
    Variant::shipped_without("without the projection", "no_projection", &["PROJECTION"]),
    Variant { view: false, ..Variant::shipped_without("without the trace-id view", "no_view", &[]) },
    Variant::shipped_without(
        "without idx_trace_id",
        "no_trace_id",
        &["INDEX idx_trace_id TraceId TYPE bloom_filter(0.001)"],
    ),
    Variant::shipped_without("without idx_res_attr_key", "no_res_attr_key", &["INDEX idx_res_attr_key"]),
    Variant::shipped_without(
        "without idx_res_attr_value",
        "no_res_attr_value",
        &["INDEX idx_res_attr_value"],
    ),
    Variant::shipped_without("without idx_span_attr_key", "no_span_attr_key", &["INDEX idx_span_attr_key"]),
    Variant::shipped_without(
        "without idx_span_attr_value",
        "no_span_attr_value",
        &["INDEX idx_span_attr_value"],
    ),
    Variant::shipped_without("without idx_duration", "no_duration", &["INDEX idx_duration"]),
    Variant {
        instead: Some(("ZSTD(1)", "LZ4")),
        ..Variant::shipped_without("compressed by LZ4", "by_lz4", &[])
    },
    Variant {
        instead: Some(STRINGS),
        ..Variant::shipped_without("lengths of strings apart from them", "lengths_apart", &[])
    },
    Variant {
        key: Key::ServiceFirst,
        ..Variant::shipped_without("sorted by service, not by tenant", "service_key", &[])
    },
    Variant {
        key: Key::ServiceFirst,
        instead: Some(STRINGS),
        ..Variant::shipped_without("sorted by service, lengths of strings apart", "service_apart", &[])
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_left_out_is_missing_and_nothing_else() {
        let shipped = SHIPPED_TABLE.statements();
        assert_eq!(shipped.len(), 3);
        assert_eq!(FIRST_TABLE.statements().len(), 3);
        assert!(shipped[0].contains("PROJECTION by_object") && shipped[0].contains("TenantId"));
        for variant in ALL.iter().filter(|variant| !variant.without.is_empty()) {
            let table = &variant.statements()[0];
            for part in variant.without {
                assert!(!table.contains(part), "{}: {table}", variant.name);
            }
        }
        for variant in ALL {
            if let Some((as_shipped, instead)) = variant.instead {
                let table = &variant.statements()[0];
                assert!(shipped[0].contains(as_shipped), "{}: {}", variant.name, shipped[0]);
                assert!(table.contains(instead) && !table.contains(as_shipped), "{}: {table}", variant.name);
            }
        }
        let first = FIRST_TABLE.statements();
        assert!(
            first[0].contains("Timestamp DateTime64(9) ")
                && shipped[0].contains("Timestamp DateTime64(9, 'UTC') ")
        );
        let stock = STOCK_TABLE.statements();
        assert!(!stock[0].contains("Tenant") && stock[0].contains("ORDER BY (ServiceName"), "{}", stock[0]);
        assert_eq!(stock[0].matches("INDEX").count(), 6);
    }
}
