//! `keys revoke`

use spillway_proto::key_record::{KeyRecord, KeyStatus};

use super::arguments::RevokeArgs;
use super::store::KeyStore;
use super::{KeysError, called};
use crate::output;

pub(super) async fn run(store: &KeyStore, arguments: &RevokeArgs) -> Result<(), KeysError> {
    let called = called(&arguments.tenant, &arguments.key_id);
    let listing = store.list().await?;
    let (mut known, mut revoked) = (0, 0);
    // All of them: one that has expired had better not come back by a change of its end.
    for entry in listing.named(&arguments.tenant, &arguments.key_id) {
        let Some(record) = store.get(&entry.name).await? else { continue };
        known += 1;
        if record.status != KeyStatus::Revoked {
            let record = KeyRecord { status: KeyStatus::Revoked, ..record };
            store.put(&entry.name, &record).await?;
            revoked += 1;
        }
    }
    match (known, revoked) {
        (0, _) => return Err(KeysError::NotFound(called)),
        (_, 0) => output::note(&format!("the {called} was revoked before")),
        _ => output::note(&format!(
            "revoked the {called}. Up to 2 minutes pass until it is refused everywhere: KV takes up to 60 s to show a \
             change, and isolates remember a record for KEY_CACHE_SECONDS (60)."
        )),
    }
    Ok(())
}
