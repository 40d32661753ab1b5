//! What goes wrong between the parts, when a test wants it to: on the wire ([`TcpFaults`]), in R2 ([`S3Faults`]), on a disk that is full ([`FullDisk`]), and in
//! the moment in which ClickHouse makes a part of an insert visible ([`SlowRename`]).

mod dedup_log;
mod exchange;
mod full_disk;
mod http_answer;
mod s3;
mod s3_operation;
mod slow_rename;
mod tcp;

pub use dedup_log::DedupLog;
pub use full_disk::FullDisk;
pub use s3::{On, S3Fault, S3Faults};
pub use s3_operation::S3Operation;
pub use slow_rename::SlowRename;
pub use tcp::{TcpCounts, TcpFault, TcpFaults};

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::Instant;

use crate::stack::ARRIVAL;

/// Waits until `has_come`, which `what` describes; an error if it does not.
async fn awaited(what: &str, has_come: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + ARRIVAL;
    while !has_come() {
        ensure!(Instant::now() < deadline, "{what} has not come in {ARRIVAL:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}
