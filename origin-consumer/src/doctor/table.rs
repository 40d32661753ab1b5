//! What is so of the table that an insert, a count or a question by time can stumble over.

use super::finding::Finding;
use crate::insert::{Condition, Layout};

/// Tokens that the table which is shipped remembers.
const TOKENS: u64 = 10_000;
const REBUILD: &str =
    "origin-consumer rebuild-table --dry-run, and then without it (docs/table.md, \"Moving a table\")";

/// Of the table of this name.
pub(super) fn findings(name: &str, condition: &Condition) -> Vec<Finding> {
    let mut findings = vec![layout(name, condition)];
    findings.extend(rebuild(name, condition));
    findings.extend(patches(name, condition));
    findings.extend(tokens(name, condition));
    findings
}

/// Nothing could be learnt of it.
pub(super) fn unknown(name: &str, error: &str) -> Finding {
    Finding::unchecked(
        "table_layout",
        format!("the layout of {name}, its patches and its tokens are not known: {error}"),
        "a table of the first layout depends on the zones of server and session, and patches stop its projection",
        "GRANT SELECT ON system.parts to the user",
    )
}

fn layout(name: &str, condition: &Condition) -> Finding {
    let zone = &condition.server_zone;
    match condition.layout {
        Layout::Utc => Finding::ok("table_layout", format!("the table {name} has its days and times in UTC")),
        Layout::Own => Finding::note(
            "table_layout",
            format!("the table {name} has a partition key or a zone of its own"),
            "an insert of one day in UTC is to go into one partition, or a part of it can be visible alone for a moment",
        ),
        Layout::First if is_utc(zone) => Finding::warning(
            "table_layout",
            format!(
                "the table {name} has its first layout: days and texts are those of the server's zone, {zone}, or of a session's"
            ),
            "in a session of another zone, a comparison of Timestamp with a text misses rows; after a change of the server's \
             zone, so does every question by time",
            REBUILD,
        ),
        Layout::First => Finding::fault(
            "table_layout",
            format!(
                "the table {name} has its first layout, and the server's zone is {zone}: its partitions are not days in UTC"
            ),
            "one insert goes into two partitions, so a part of it can be visible alone, and a known token can drop a part of it; a \
             comparison of Timestamp with a text means another time than in UTC",
            REBUILD,
        ),
    }
}

/// Whether days in that zone are days in UTC, at any time.
fn is_utc(zone: &str) -> bool {
    matches!(
        zone,
        "UTC"
            | "Etc/UTC"
            | "GMT"
            | "Etc/GMT"
            | "UCT"
            | "Etc/UCT"
            | "Zulu"
            | "Etc/Zulu"
            | "Universal"
            | "Etc/Universal"
    )
}

fn rebuild(name: &str, condition: &Condition) -> Option<Finding> {
    condition.is_being_rebuilt.then(|| {
        Finding::note(
            "table_being_rebuilt",
            format!("rebuild-table has begun to move {name}, and has not come to its end"),
            "both tables take disk meanwhile; call it again if it does not run",
        )
    })
}

fn patches(name: &str, condition: &Condition) -> Option<Finding> {
    let parts = condition.patch_parts;
    (parts > 0).then(|| {
        Finding::warning(
            "patch_parts",
            format!("the table {name} has {parts} parts of lightweight updates (UPDATE) that are not applied"),
            "ClickHouse uses no projection of the table until they are gone: what an insert has stored is still counted \
             rightly, but each look and each audit reads the whole table for it",
            "ALTER TABLE ... APPLY PATCHES, and see system.parts until they are gone; deploy/runbooks/audit-finds-wrong-rows.md",
        )
    })
}

fn tokens(name: &str, condition: &Condition) -> Option<Finding> {
    let window = condition.deduplication_window;
    let what = format!(
        "the table {name} remembers {window} deduplication tokens (non_replicated_deduplication_window)"
    );
    let todo = format!("ALTER TABLE {name} MODIFY SETTING non_replicated_deduplication_window = {TOKENS}");
    match window {
        0 => Some(Finding::fault(
            "deduplication_window",
            what,
            "an insert that a consumer has given up, and that reaches the server all the same, is stored a second time",
            todo,
        )),
        1..TOKENS => Some(Finding::warning(
            "deduplication_window",
            what,
            "a token has to be known as long as an insert under it may still be on its way, however many inserts come in between",
            todo,
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn condition() -> Condition {
        Condition {
            layout: Layout::Utc,
            server_zone: "America/New_York".to_owned(),
            patch_parts: 0,
            deduplication_window: TOKENS,
            is_being_rebuilt: false,
        }
    }

    fn found(condition: &Condition) -> Vec<(&'static str, Level)> {
        findings("db.t", condition).iter().map(|finding| (finding.code, finding.level)).collect()
    }

    #[test]
    fn the_zone_of_the_server_matters_to_the_first_layout_alone() {
        assert_eq!(found(&condition()), [("table_layout", Level::Ok)]);
        let first = Condition { layout: Layout::First, ..condition() };
        assert_eq!(found(&first), [("table_layout", Level::Fault)]);
        for zone in ["UTC", "Etc/UTC"] {
            let in_utc = Condition { server_zone: zone.to_owned(), ..first.clone() };
            assert_eq!(found(&in_utc), [("table_layout", Level::Warning)], "{zone}");
        }
        // It has the days of UTC in winter.
        let london = Condition { server_zone: "Europe/London".to_owned(), ..first.clone() };
        assert_eq!(found(&london), [("table_layout", Level::Fault)]);
        let begun = Condition { is_being_rebuilt: true, ..first };
        assert_eq!(found(&begun)[1], ("table_being_rebuilt", Level::Note));
    }

    #[test]
    fn patches_and_few_tokens_are_found() {
        let patched = Condition { patch_parts: 1, ..condition() };
        assert_eq!(found(&patched)[1], ("patch_parts", Level::Warning));
        for (window, level) in [(0, Level::Fault), (9_999, Level::Warning)] {
            let few = Condition { deduplication_window: window, ..condition() };
            assert_eq!(found(&few)[1], ("deduplication_window", level));
        }
    }
}
