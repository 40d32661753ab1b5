//! Step 8, after the answer: tell the origin that the object is there.

use std::time::Duration;

use spillway_proto::notification::Notification;
use spillway_proto::signature;

use crate::config::{Destination, NotifyConfig};
use crate::mesh::link::Link;
use crate::ports::{Notifier, PortError, Runtime, SignedNotification};

/// What each way may take in all: the runtime ends what follows an answer after 30 s, and the fallback has to have its turn.
const WAY_DEADLINE: Duration = Duration::from_secs(12);

/// What an isolate remembers of the ways to the origin.
pub struct NotifyLinks {
    primary: Link,
    fallback: Link,
}

impl Default for NotifyLinks {
    fn default() -> Self {
        Self { primary: Link::new("notification"), fallback: Link::new("notification fallback") }
    }
}

impl NotifyLinks {
    /// Both, for metrics.
    pub fn all(&self) -> [&Link; 2] {
        [&self.primary, &self.fallback]
    }
}

/// How a notification fared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notified {
    /// Which transport took it; none if the sweep has to find the object.
    pub by: Option<&'static str>,
    /// What was said by those that did not take it.
    pub faults: Vec<PortError>,
}

/// Sends the notification: to where it should go, several times if it must, and then to the fallback. Where nobody takes it,
/// the origin does not know of the object yet; it is in R2 all the same.
pub async fn notify(
    notification: &Notification,
    config: &NotifyConfig,
    links: &NotifyLinks,
    notifier: &impl Notifier,
    runtime: &impl Runtime,
) -> Notified {
    let mut notified = Notified::default();
    let body = match serde_json::to_vec(notification) {
        Ok(body) => body,
        Err(error) => {
            notified.faults.push(PortError { what: "notification", detail: error.to_string() });
            return notified;
        }
    };
    let ways = [(Some(&config.primary), &links.primary), (config.fallback.as_ref(), &links.fallback)];
    for (destination, link) in ways {
        let Some(destination) = destination else { continue };
        let send = async || {
            let signed = signed(&body, notification, config, runtime);
            notifier.send(destination, &signed).await
        };
        let sent = Link::within_time(WAY_DEADLINE, runtime, link.call(&config.link, runtime, send)).await;
        let late = || PortError { what: link.name(), detail: format!("not taken within {WAY_DEADLINE:?}") };
        match sent.unwrap_or_else(|| Err(late())) {
            Ok(()) => {
                notified.by = Some(Destination::name(destination));
                break;
            }
            Err(fault) => notified.faults.push(fault),
        }
    }
    notified
}

/// Signed anew for each try: the origin looks at the signature's age.
fn signed(
    body: &[u8],
    notification: &Notification,
    config: &NotifyConfig,
    runtime: &impl Runtime,
) -> SignedNotification {
    SignedNotification {
        body: body.to_vec(),
        signature: signature::sign(config.signing_key.expose(), runtime.now(), body),
        traceparent: notification.trace_context.to_string(),
    }
}
