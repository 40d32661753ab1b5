//! Step d: the objects of a batch.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use spillway_proto::notification::Notification;

use super::{BatchError, Consumer};
use crate::objects::ObjectError;
use crate::queue::{Batch, Fault, Setback};
use crate::time::{backoff, jittered, random};

/// How often an object is asked for that could not be had: it would take its whole batch with it.
const TRIES: u32 = 3;

/// What became of asking for some objects.
#[derive(Default)]
struct Asked {
    fetched: Vec<(Notification, Bytes)>,
    /// Those that no try will have.
    poison: Vec<Setback>,
    /// Those that another try may have, and why this one has not.
    missed: Vec<(Notification, String)>,
}

impl Consumer {
    /// Every object of the batch that has to be inserted.
    pub(super) async fn fetch_all(&self, batch: &Batch) -> Result<Vec<(Notification, Bytes)>, BatchError> {
        let wanted = batch.objects.iter().map(|object| object.notification.clone());
        let mut asked = self.ask(wanted.collect()).await?;
        for tried in 1..TRIES {
            if asked.missed.is_empty() {
                break;
            }
            tokio::time::sleep(jittered(backoff(tried - 1), random())).await;
            let missed = std::mem::take(&mut asked.missed);
            let again = self.ask(missed.into_iter().map(|(notification, _)| notification).collect()).await?;
            asked.fetched.extend(again.fetched);
            asked.poison.extend(again.poison);
            asked.missed = again.missed;
        }
        let Asked { mut fetched, poison: mut setbacks, missed } = asked;
        if let [(_, reason), ..] = missed.as_slice()
            && fetched.is_empty()
        {
            return Err(BatchError::Transient(reason.clone()));
        }
        setbacks.extend(missed.into_iter().map(|(Notification { object_key, .. }, reason)| Setback {
            object_key,
            fault: Fault::Passing,
            reason,
        }));
        fetched.sort_unstable_by(|(one, _), (other, _)| one.object_key.cmp(&other.object_key));
        self.spare(batch, setbacks).await.map(|()| fetched)
    }

    /// Asks for each of them once, some side by side. An error where the bucket is away: so many in a row cannot be had as are
    /// asked for side by side, and the rest need not be tried.
    async fn ask(&self, wanted: Vec<Notification>) -> Result<Asked, BatchError> {
        let fetches = wanted.into_iter().map(|notification| {
            let objects = self.objects.clone();
            async move {
                let object = objects.fetch(&notification).await;
                (notification, object)
            }
        });
        let fetches: Vec<_> = fetches.collect();
        let mut fetches = stream::iter(fetches).buffered(self.config.fetches);
        let (mut asked, mut in_a_row) = (Asked::default(), 0);
        while let Some((notification, object)) = fetches.next().await {
            match object {
                Ok(bytes) => asked.fetched.push((notification, bytes)),
                Err(ObjectError::Poison(reason)) => {
                    let object_key = notification.object_key;
                    asked.poison.push(Setback { object_key, fault: Fault::Poison, reason });
                }
                Err(ObjectError::Transient(reason)) => {
                    in_a_row += 1;
                    if in_a_row == self.config.fetches {
                        return Err(BatchError::Transient(reason));
                    }
                    asked.missed.push((notification, reason));
                    continue;
                }
            }
            in_a_row = 0;
        }
        Ok(asked)
    }
}
