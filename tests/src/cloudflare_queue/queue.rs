//! The queue itself: who has leased what, and until when.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use ulid::Ulid;

use super::{Call, Fault, Sent};

/// Deliveries of a message after the first, before it is deleted: what `wrangler queues consumer http add` sets.
const MAX_RETRIES: u32 = 3;

/// A message that is neither acknowledged nor deleted.
pub(super) struct Waiting {
    id: String,
    sent: Sent,
    sent_at_ms: u64,
    pub(super) visible_at: Instant,
    attempts: u32,
    /// One a delivery. All of them end it: Cloudflare takes a lease that has run out as well.
    leases: Vec<String>,
}

/// All of them, and what was asked for.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: Vec<Waiting>,
    pub(super) faults: Vec<(Call, Fault)>,
    pub(super) calls: Vec<(Call, Instant)>,
    pub(super) acknowledged: usize,
    pub(super) deliveries: usize,
    pub(super) deleted: usize,
}

impl Queue {
    pub(super) fn send(&mut self, sent: Sent) {
        self.waiting.push(Waiting {
            id: format!("{:032x}", Ulid::generate().0),
            sent,
            sent_at_ms: Ulid::generate().timestamp_ms(),
            visible_at: Instant::now(),
            attempts: 0,
            leases: Vec::new(),
        });
    }

    /// Notes the call, and takes its fault out.
    pub(super) fn called(&mut self, call: Call) -> Option<Fault> {
        self.calls.push((call, Instant::now()));
        let at = self.faults.iter().position(|(kind, _)| *kind == call)?;
        Some(self.faults.remove(at).1)
    }

    pub(super) fn pull(&mut self, request: &PullRequest) -> Value {
        let now = Instant::now();
        let visibility = Duration::from_millis(request.visibility_timeout_ms);
        let before = self.waiting.len();
        self.waiting.retain(|message| message.visible_at > now || message.attempts <= MAX_RETRIES);
        self.deleted += before - self.waiting.len();
        let backlog = self.waiting.len();
        let visible = self.waiting.iter_mut().filter(|message| message.visible_at <= now);
        let messages: Vec<_> = visible
            .take(request.batch_size)
            .map(|message| {
                message.attempts += 1;
                message.visible_at = now + visibility;
                let lease = format!("lease-{}", Ulid::generate());
                message.leases.push(lease.clone());
                json!({
                    "body": encoded(&message.sent),
                    "id": message.id,
                    "timestamp_ms": message.sent_at_ms,
                    "attempts": message.attempts,
                    "metadata": {
                        "CF-sourceMessageSource": "worker",
                        "CF-Content-Type": message.sent.content_type,
                    },
                    "lease_id": lease,
                })
            })
            .collect();
        self.deliveries += messages.len();
        json!({ "message_backlog_count": backlog, "messages": messages })
    }

    pub(super) fn ack(&mut self, request: &AckRequest) -> Value {
        let before = self.waiting.len();
        let acked = |message: &Waiting| request.acks.iter().any(|ack| message.leases.contains(&ack.lease_id));
        self.waiting.retain(|message| !acked(message));
        let ack_count = before - self.waiting.len();
        self.acknowledged += ack_count;
        let mut retry_count = 0;
        for retry in &request.retries {
            for message in &mut self.waiting {
                if message.leases.contains(&retry.lease_id) {
                    message.visible_at = Instant::now() + Duration::from_secs(retry.delay_seconds);
                    retry_count += 1;
                }
            }
        }
        json!({ "ackCount": ack_count, "retryCount": retry_count, "warnings": {} })
    }
}

/// What a pull asks for.
#[derive(Deserialize)]
pub(super) struct PullRequest {
    #[serde(default = "five")]
    pub(super) batch_size: usize,
    #[serde(default = "thirty_seconds")]
    visibility_timeout_ms: u64,
}

fn five() -> usize {
    5
}

fn thirty_seconds() -> u64 {
    30_000
}

/// What an acknowledgement says.
#[derive(Deserialize)]
pub(super) struct AckRequest {
    #[serde(default)]
    acks: Vec<Lease>,
    #[serde(default)]
    retries: Vec<Lease>,
}

#[derive(Deserialize)]
struct Lease {
    lease_id: String,
    #[serde(default)]
    delay_seconds: u64,
}

fn encoded(sent: &Sent) -> Value {
    match sent.content_type.as_str() {
        "text" => sent.body.clone(),
        _ => STANDARD.encode(sent.body.to_string()).into(),
    }
}
