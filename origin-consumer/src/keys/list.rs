//! `keys list`

use serde::Serialize;

use super::KeysError;
use super::arguments::ListArgs;
use super::store::{Entry, KeyStore, State, Summary};
use super::times::shown;
use crate::output;
use crate::time::now;

/// A key, as `--json` shows it.
#[derive(Serialize)]
struct Listed<'a> {
    kv_name: &'a str,
    #[serde(flatten)]
    summary: &'a Summary,
    state: State,
}

pub(super) async fn run(store: &KeyStore, arguments: &ListArgs) -> Result<(), KeysError> {
    let now = now();
    let listing = store.list().await?;
    let is_shown = |entry: &&Entry| {
        arguments.tenant.as_ref().is_none_or(|tenant| entry.summary.tenant == *tenant)
            && (arguments.all || entry.summary.state(now).is_usable())
    };
    let mut entries: Vec<_> = listing.entries.iter().filter(is_shown).collect();
    entries.sort_by_key(|entry| {
        let Summary { tenant, project, key_id, .. } = &entry.summary;
        (tenant, project, key_id, &entry.name)
    });
    let listed = entries.iter().map(|Entry { name, summary }| {
        let state = summary.state(now);
        Listed { kv_name: name, summary, state }
    });
    if arguments.json {
        output::text(&(output::json(&listed.collect::<Vec<_>>())? + "\n"))?;
    } else if entries.is_empty() {
        output::note("there are no such keys");
    } else {
        let rows: Vec<_> = listed.map(|listed| row(&listed)).collect();
        output::text(&output::table(
            ["TENANT", "PROJECT", "KEY ID", "STATE", "NOT BEFORE", "EXPIRES"],
            &rows,
        ))?;
    }
    match listing.unreadable.as_slice() {
        [] => {}
        names if arguments.json => {
            output::note(&format!("these values are no records: {}", names.join(" ")));
        }
        names => output::note(&format!(
            "{} values are no records, and the edge refuses their keys; --json names them",
            names.len()
        )),
    }
    Ok(())
}

fn row(listed: &Listed<'_>) -> [String; 6] {
    let Summary { tenant, project, key_id, not_before, expires_at, .. } = listed.summary;
    let project = project.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let state = listed.state.to_string();
    [tenant.to_string(), project, key_id.to_string(), state, shown(*not_before), shown(*expires_at)]
}
