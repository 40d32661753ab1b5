//! The Workers that are compared, and the payloads that each gets.

use spillway_generator::order::Order;
use spillway_generator::payloads::Payload;

use crate::measure::Plan;

/// A Worker that is compared.
#[derive(Clone, Copy)]
pub struct Contestant {
    /// The constant in `workerd.capnp`.
    pub config: &'static str,
    /// What the tables call it.
    pub name: &'static str,
    gets: Gets,
}

/// The payloads that a Worker gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gets {
    /// The usual ones, in the order of the run.
    Usual,
    /// The usual ones, and the one in descending order: what it does depends on the order of fields.
    BothOrders,
    /// A large one that is not compressed.
    LargePlain,
}

/// A body of which a digest takes long enough to be told from noise, in bytes.
const LARGE_BYTES: usize = 500_000;

/// The Worker in Rust that only reads.
pub const READS: &str = "Rust, reads the body";
/// The same, with a digest of the body.
pub const DIGESTS: &str = "Rust, reads the body and computes the object's id";
/// The floor of an edge that stores.
pub const STORES: &str = "JavaScript, streams the body into R2";
/// The edge.
pub const EDGE: &str = "edge-ingest";
/// The edge of another checkout.
pub const BESIDE: Contestant =
    Contestant { config: "edge", name: "edge-ingest, of the other checkout", gets: Gets::BothOrders };

/// The first one is what the others are compared with; and so is [`STORES`].
pub const ALL: [Contestant; 9] = [
    Contestant { config: "readBodyJs", name: "JavaScript, reads the body", gets: Gets::Usual },
    Contestant { config: "readBodyRust", name: READS, gets: Gets::Usual },
    Contestant { config: "checkBodyRust", name: "Rust, reads and checks the body", gets: Gets::BothOrders },
    Contestant { config: "digestBodyRust", name: DIGESTS, gets: Gets::LargePlain },
    Contestant {
        config: "decodeBodyRust",
        name: "Rust, reads the body and decodes it by prost",
        gets: Gets::BothOrders,
    },
    Contestant { config: "storeBodyJs", name: STORES, gets: Gets::Usual },
    Contestant {
        config: "sameCallsJs",
        name: "JavaScript, the edge's calls without its checks",
        gets: Gets::Usual,
    },
    Contestant { config: "edge", name: EDGE, gets: Gets::BothOrders },
    Contestant { config: "edgeWithQuota", name: "edge-ingest, a key with a quota", gets: Gets::Usual },
];

impl Contestant {
    /// Whether it has turns with a payload. Beside another checkout the digest's cost is always measured, on the large payload
    /// alone unless its Workers are chosen for others.
    pub fn gets(&self, payload: &Payload, plan: &Plan) -> bool {
        let is_large_plain = !payload.gzip && payload.plain_bytes >= LARGE_BYTES;
        let is_usual = payload.order == plan.order.unwrap_or_default();
        let gets = match self.gets {
            Gets::Usual => is_usual,
            Gets::BothOrders => true,
            Gets::LargePlain => is_usual && is_large_plain,
        };
        let is_of_digest = [READS, DIGESTS].contains(&self.name);
        let is_wanted =
            plan.has_worker(self.name) || plan.beside.is_some() && is_of_digest && is_usual && is_large_plain;
        gets && is_wanted
    }
}

/// The payloads of a run: the usual ones in its order, and one in descending order where no order is named.
pub fn payloads(plan: &Plan) -> anyhow::Result<Vec<Payload>> {
    let mut payloads = spillway_generator::payloads::all(plan.order.unwrap_or(Order::Ascending))?;
    if plan.order.is_none() {
        payloads.push(spillway_generator::payloads::descending()?);
    }
    payloads.retain(|payload| plan.has_payload(payload.name));
    Ok(payloads)
}
