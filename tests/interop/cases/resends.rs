//! Answers that are lost on the way: what a client sends again is stored once.

use std::time::Duration;

use anyhow::{Result, ensure};
use spillway_tests::proxy::Fate;

use super::{Bench, Observed, PLAIN, Sending};
use crate::clients::Client;

/// The time that a client waits for a late answer, and how late it is.
const TIMEOUT: Duration = Duration::from_secs(2);
const DELAY: Duration = Duration::from_secs(4);

/// What happens to the first try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It is stored; the connection ends in place of the answer.
    Closed,
    /// It is stored; something on the way answers 503 in place of the edge. The client waits for more than a second before its
    /// next try, so that one which compresses anew sends other bytes: gzip's header has the time.
    Replaced,
    /// It is stored; the answer comes after the client's timeout.
    Late,
    /// It does not reach the edge; something on the way answers 503.
    Refused,
}

impl Loss {
    fn fates(self) -> Vec<Fate> {
        match self {
            Self::Closed => vec![Fate::AnswerLost],
            // The first wait of some is shorter than a second.
            Self::Replaced => vec![Fate::AnswerReplaced(503); 2],
            Self::Late => vec![Fate::AnswerLate(DELAY)],
            Self::Refused => vec![Fate::Refused(503)],
        }
    }
}

impl Bench {
    /// Sends one batch of which tries are lost. However often the client tries, what the edge has taken is stored once, and
    /// right; the verifier has seen to that.
    pub async fn lossy(&self, client: Client, loss: Loss, gzip: bool) -> Result<Observed> {
        self.proxy.plan(&loss.fates());
        let timeout = (loss == Loss::Late).then_some(TIMEOUT);
        let observed = self.send(client, &Sending { gzip, timeout, ..PLAIN }).await?;
        let stored = observed.stored;
        if loss != Loss::Refused {
            ensure!(stored.rows >= client.spans(), "{stored:?}");
        }
        ensure!(stored.repeated == 0, "{stored:?}: it mixes what failed with what is new");
        if client.tries_again() && matches!(loss, Loss::Replaced | Loss::Refused) {
            ensure!(observed.report.none_failed(), "{:?}", observed.report);
            ensure!(observed.tries.len() > 1, "one try");
            ensure!(stored.rows >= client.spans(), "{stored:?}");
        }
        Ok(observed)
    }
}
