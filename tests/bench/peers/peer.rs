//! Who takes part, and how each is started.

mod collector;
mod otel_arrow;
mod rotel;
mod vector;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use local_stack::ports::free_port;
use local_stack::process::Process;
use tokio::net::TcpStream;

use crate::tables::Kind;

const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long peers wait for a batch to be full: as long as the consumer does. None of them waits under load.
const BATCH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long peers wait for ClickHouse; a retry after less would store rows twice.
const INSERT_TIMEOUT: Duration = Duration::from_secs(120);

/// Others that bring OTLP into ClickHouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// <https://github.com/streamfold/rotel>
    Rotel,
    /// <https://github.com/open-telemetry/otel-arrow>, `rust/otap-dataflow`
    OtelArrow,
    /// <https://github.com/open-telemetry/opentelemetry-collector-contrib>
    Collector,
    /// <https://vector.dev>
    Vector,
}

impl Peer {
    /// All, in the order of their turns.
    pub const ALL: [Self; 4] = [Self::Rotel, Self::OtelArrow, Self::Collector, Self::Vector];

    /// What it calls itself.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rotel => "rotel",
            Self::OtelArrow => "otel-arrow engine",
            Self::Collector => "OpenTelemetry Collector",
            Self::Vector => "Vector",
        }
    }

    /// The variable of the environment that names a built one.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Rotel => "ROTEL",
            Self::OtelArrow => "OTEL_ARROW",
            Self::Collector => "OTELCOL",
            Self::Vector => "VECTOR",
        }
    }

    /// The most spans of a batch that it can take. The spans of OTAP have numbers of 16 bits, and batches that are bounded in bytes
    /// are of that many spans only about.
    pub fn largest_batch(self) -> usize {
        match self {
            Self::OtelArrow => 50_000,
            Self::Rotel | Self::Collector | Self::Vector => usize::MAX,
        }
    }
}

/// Who has a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contender {
    /// The consumer, into its own table.
    Spillway,
    /// The consumer, into the table that peers write to. A view takes the common columns there.
    SpillwayIntoStock,
    /// A peer, with batches of so many spans at most.
    Peer { peer: Peer, program: PathBuf, batch: usize },
}

impl Contender {
    /// The database that it writes to.
    pub fn database(&self) -> String {
        match self {
            Self::Spillway => "spillway".to_owned(),
            Self::SpillwayIntoStock => "spillway_into_stock".to_owned(),
            Self::Peer { peer, batch, .. } => format!("{}_{batch}", peer.variable().to_lowercase()),
        }
    }

    /// Whether it has a turn of its own: into a table that keeps nothing, Spillway needs but one.
    pub fn takes_part(&self, kind: Kind) -> bool {
        !(matches!(self, Self::SpillwayIntoStock) && kind == Kind::Null)
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spillway => f.write_str("Spillway"),
            Self::SpillwayIntoStock => f.write_str("Spillway, into the peers' table"),
            Self::Peer { peer, batch, .. } => write!(f, "{}, {batch} a batch", peer.name()),
        }
    }
}

/// What a peer is configured with.
pub struct Setup<'a> {
    /// ClickHouse's HTTP interface.
    pub clickhouse: &'a str,
    pub database: &'a str,
    /// The most spans of a batch.
    pub batch: usize,
    /// About as many bytes of requests, for those who count nothing else.
    pub batch_bytes: usize,
    /// Where it listens for OTLP over HTTP.
    pub http: SocketAddr,
    /// Where it listens for OTLP over gRPC, which is not used.
    pub grpc: SocketAddr,
    /// Where it may write.
    pub folder: &'a Path,
}

/// A peer that runs.
pub struct Running {
    pub process: Process,
    /// Where it takes OTLP.
    pub url: String,
}

/// Starts it, and waits until it listens.
pub async fn start(
    peer: Peer,
    program: &Path,
    (clickhouse, database): (&str, &str),
    (batch, batch_bytes): (usize, usize),
    folder: &Path,
) -> Result<Running> {
    let (http, grpc) = (loopback()?, loopback()?);
    let setup = Setup { clickhouse, database, batch, batch_bytes, http, grpc, folder };
    let command = match peer {
        Peer::Rotel => rotel::command(program, &setup),
        Peer::OtelArrow => otel_arrow::command(program, &setup)?,
        Peer::Collector => collector::command(program, &setup)?,
        Peer::Vector => vector::command(program, &setup)?,
    };
    let mut process = Process::start(peer.variable(), command, folder)?;
    process.ready(READY_TIMEOUT, async || TcpStream::connect(http).await.is_ok()).await?;
    Ok(Running { process, url: format!("http://{http}/v1/traces") })
}

fn loopback() -> Result<SocketAddr> {
    Ok((Ipv4Addr::LOCALHOST, free_port()?).into())
}

/// A command that reads this configuration.
fn command_with(program: &Path, config: &Path, text: &str) -> Result<Command> {
    std::fs::write(config, text)?;
    let mut command = Command::new(program);
    command.arg("--config").arg(config);
    Ok(command)
}
