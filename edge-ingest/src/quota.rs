//! Step 3: whether the tenant may store any more spans this month.

use spillway_proto::UnixMillis;
use spillway_proto::api_key::KeyRecord;

use crate::ports::UsageCounter;
use crate::reject::Rejection;

/// Refuses a tenant that has stored its quota. The request that crosses the line is still stored whole: how many spans
/// it holds is not known yet, and no batch is taken in half.
pub async fn check(key: &KeyRecord, usage: &impl UsageCounter, now: UnixMillis) -> Result<(), Rejection> {
    let Some(quota) = key.spans_per_month else { return Ok(()) };
    let used = usage.spans(&key.tenant, &now.month()).await.map_err(Rejection::Fault)?;
    if used < quota.get() {
        Ok(())
    } else {
        Err(Rejection::QuotaExceeded { quota: quota.get(), resets_on: now.next_month() })
    }
}
