//! Step 8, after the answer: tell the origin that the object is there.

use spillway_proto::notification::Notification;
use spillway_proto::signature;

use crate::config::NotifyConfig;
use crate::mesh::retry::retry;
use crate::ports::{Notifier, PortError, Runtime, SignedNotification};

/// Sends the notification, several times if it must. An error means that the origin does not know of the object yet;
/// it is in R2 all the same.
pub async fn notify(
    notification: &Notification,
    config: &NotifyConfig,
    notifier: &impl Notifier,
    runtime: &impl Runtime,
) -> Result<(), PortError> {
    let body = serde_json::to_vec(notification)
        .map_err(|error| PortError { what: "notification", detail: error.to_string() })?;
    retry(&config.retry, runtime, async || {
        // Signed anew for each try: the origin looks at the signature's age.
        let signature = signature::sign(config.signing_key.expose(), runtime.now(), &body);
        let traceparent = notification.trace_context.to_string();
        notifier.send(&SignedNotification { body: body.clone(), signature, traceparent }).await
    })
    .await
}
