//! What a run is like.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Kills the parts of Spillway at random while exporters send, and counts what is lost and what is doubled.
///
/// Real processes: the Worker in workerd with R2, the origin, the consumers, ClickHouse and PostgreSQL. What the edge has
/// answered with 200 is the manifest. In the end everything runs again; the run waits for what is still under way, and then
/// counts. Ctrl-C ends the strikes early; a second one ends all at once. Exit codes: 0 nothing is lost and nothing doubled (with --prove: spans are lost), 1 otherwise.
#[derive(Parser, Debug, Clone)]
#[command(name = "crash")]
pub struct Plan {
    /// What chance goes by; random by default, and printed first
    #[arg(long, default_value_t = fastrand::u64(..1 << 32))]
    pub seed: u64,
    /// Where the queue and the ledger lie
    #[arg(long, value_enum, default_value = "sqlite")]
    pub store: StoreKind,
    /// Go on until the ClickHouse server was killed so often
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub kills: u64,
    /// Go on for so long at least
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seconds: u64,
    /// Consumers; each has three workers
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub consumers: u8,
    /// Exports a second
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// The most spans of an export
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub spans: u32,
    /// Days over which the spans of an export are spread; each is a partition
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=30))]
    pub days: u32,
    /// Tenants that export
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=26))]
    pub tenants: u8,
    /// The most objects of a batch
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub batch_objects: u32,
    /// How long objects that do not fill a batch wait for others
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=60_000))]
    pub batch_delay: u64,
    /// How long a batch stays with a consumer that stands still
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    pub lease: u64,
    /// Notifications that nobody gets, though the edge is told that all is well
    #[arg(long, value_name = "PERCENT", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub drop: u32,
    /// Exports that are sent once more after they were answered
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub resend: u32,
    /// The time between two strikes, on average
    #[arg(long, value_name = "MS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub pace: u64,
    /// How long ClickHouse takes from the token of an insert to its rows; wants a C compiler
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub rename_delay: u64,
    /// Switch off what looks after an insert that may have failed, and succeed only when spans are lost. Delays the
    /// rename by a second, unless told otherwise
    #[arg(long)]
    pub prove: bool,
    /// How long the last spans may take in the end
    #[arg(long, value_name = "SECONDS", default_value_t = 240)]
    pub patience: u64,
    /// Where data and logs go; by default a folder that is removed when all is well
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

/// A store of the queue and the ledger.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// A file.
    Sqlite,
    /// A server, which is killed as well.
    Postgres,
}

const PROVING_RENAME_DELAY: Duration = Duration::from_secs(1);

impl Plan {
    /// How long ClickHouse takes from the token of an insert to its rows.
    pub fn rename_delay(&self) -> Duration {
        match self.rename_delay {
            0 if self.prove => PROVING_RENAME_DELAY,
            millis => Duration::from_millis(millis),
        }
    }

    /// After which a batch is another's.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease)
    }

    /// A source of chance for one purpose; which one comes first does not matter then.
    pub fn chance(&self, purpose: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(purpose))
    }
}
