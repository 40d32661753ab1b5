//! `keys create`

use serde::Serialize;
use spillway_proto::KeyId;
use spillway_proto::api_key::ApiKey;
use spillway_proto::key_record::KeyRecord;

use super::arguments::CreateArgs;
use super::record::of_arguments;
use super::store::{KeyStore, Listing};
use super::{KeysError, new_key, times};
use crate::output;
use crate::time::now;

/// A new key, as `--json` shows it.
#[derive(Serialize)]
pub(super) struct NewKey<'a> {
    pub(super) key: &'a str,
    pub(super) kv_name: String,
    pub(super) record: &'a KeyRecord,
}

impl<'a> NewKey<'a> {
    pub(super) fn of(key: &'a ApiKey, record: &'a KeyRecord) -> Self {
        Self { key: key.expose(), kv_name: key.hash().kv_name(), record }
    }
}

pub(super) async fn run(store: &KeyStore, arguments: &CreateArgs) -> Result<(), KeysError> {
    let now = now();
    let file = match &arguments.record_file {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            Some(text.map_err(|source| KeysError::RecordFile { path: path.clone(), source })?)
        }
        None => None,
    };
    let record = of_arguments(arguments, file.as_deref(), times::date(now))?;
    let key = new_key(&arguments.env)?;
    check_free(&store.list().await?, &record, &record.key_id)?;
    store.put(&key.hash().kv_name(), &record).await?;

    let shown = if arguments.json {
        output::json(&NewKey::of(&key, &record)).and_then(|json| output::key(&json))
    } else {
        output::key(key.expose())
    };
    let (tenant, key_id) = (&record.tenant, &record.key_id);
    shown.map_err(|source| KeysError::Unseen { key_id: key_id.to_string(), source })?;
    let until = match record.expires_at {
        Some(_) => format!("until {}", times::shown(record.expires_at)),
        None => "until it is revoked".to_owned(),
    };
    output::note(&format!(
        "made the key `{key_id}` of the tenant `{tenant}`, shown this once; it is good everywhere within a minute, {until}"
    ));
    Ok(())
}

/// Whether the tenant of `record` has no usable key of the id.
pub(super) fn check_free(listing: &Listing, record: &KeyRecord, key_id: &KeyId) -> Result<(), KeysError> {
    let now = now();
    let states = listing.named(&record.tenant, key_id).map(|entry| entry.summary.state(now));
    match states.into_iter().find(|state| state.is_usable()) {
        Some(state) => {
            let (tenant, key_id) = (record.tenant.to_string(), key_id.to_string());
            Err(KeysError::Exists { tenant, key_id, state })
        }
        None => Ok(()),
    }
}
