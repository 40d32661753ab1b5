//! `keys rotate`

use chrono::{DateTime, Utc};
use serde::Serialize;
use spillway_proto::KeyId;

use super::arguments::RotateArgs;
use super::create::{NewKey, check_free};
use super::record::{Rotation, new_key_id, rotation};
use super::store::{Entry, KeyStore, Listing};
use super::times::Expires;
use super::{KeysError, called, new_key, times};
use crate::output;
use crate::time::now;

/// Both keys, as `--json` shows them.
#[derive(Serialize)]
struct Rotated<'a> {
    #[serde(flatten)]
    new: NewKey<'a>,
    old: OldKey<'a>,
}

#[derive(Serialize)]
struct OldKey<'a> {
    key_id: &'a KeyId,
    expires_at: Option<DateTime<Utc>>,
}

pub(super) async fn run(store: &KeyStore, arguments: RotateArgs) -> Result<(), KeysError> {
    let now = times::date(now());
    let listing = store.list().await?;
    let name = &usable(&listing, &arguments)?.name;
    let gone = || KeysError::NotFound(called(&arguments.tenant, &arguments.key_id));
    let old = store.get(name).await?.ok_or_else(gone)?;
    let new_key_id = match &arguments.new_key_id {
        Some(id) => id.clone(),
        None => new_key_id()?,
    };
    check_free(&listing, &old, &new_key_id)?;
    let overlap = Expires::After(arguments.overlap.0);
    let Rotation { new, old } = rotation(old, new_key_id, arguments.expires, overlap, now)?;
    let key = new_key(&arguments.env)?;

    // The new key comes first: whatever fails after it, somebody has a key that is good.
    store.put(&key.hash().kv_name(), &new).await?;
    let ended = store.put(name, &old).await;
    let shown = if arguments.json {
        let old = OldKey { key_id: &old.key_id, expires_at: old.expires_at };
        output::json(&Rotated { new: NewKey::of(&key, &new), old }).and_then(|json| output::key(&json))
    } else {
        output::key(key.expose())
    };
    shown.map_err(|source| KeysError::Unseen { key_id: new.key_id.to_string(), source })?;
    ended.map_err(KeysError::OldKeyStays)?;
    output::note(&format!(
        "made the key `{}` of the tenant `{}`, shown this once; it is good everywhere within a minute. `{}` ends at {}, and \
         is refused everywhere within 2 minutes of that or of now.",
        new.key_id,
        new.tenant,
        old.key_id,
        times::shown(old.expires_at)
    ));
    Ok(())
}

/// The one usable key of the tenant that has the id.
fn usable<'l>(listing: &'l Listing, arguments: &'l RotateArgs) -> Result<&'l Entry, KeysError> {
    let (now, called) = (now(), called(&arguments.tenant, &arguments.key_id));
    let is_usable = |entry: &&Entry| entry.summary.state(now).is_usable();
    let named = || listing.named(&arguments.tenant, &arguments.key_id);
    let mut usable = named().filter(is_usable);
    match (usable.next(), usable.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(KeysError::NotRotatable(format!(
            "there is more than one {called}, made at the same time: revoke them, and make another"
        ))),
        (None, _) => match named().next() {
            None => Err(KeysError::NotFound(called)),
            Some(ended) => {
                let state = ended.summary.state(now);
                Err(KeysError::NotRotatable(format!(
                    "the {called} is {state}: make another with `keys create`"
                )))
            }
        },
    }
}
