//! The crash loop, short: both stores, and the failure that it has to catch.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, ensure};

/// One at a time: each is a whole system.
static TURN: Mutex<()> = Mutex::new(());

fn crash(arguments: &[&str]) -> Result<String> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let run = Command::new(env!("CARGO_BIN_EXE_crash")).args(arguments).output()?;
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    // Seen where the test fails: with the seed.
    eprintln!("{err}\n{out}");
    ensure!(run.status.success(), "crash {arguments:?} ended with {}", run.status);
    Ok(out.into_owned())
}

#[test]
fn with_sqlite_parts_die_at_random_and_nothing_is_lost_or_doubled() -> Result<()> {
    let summary = crash(&["--store", "sqlite", "--kills", "6", "--rename-delay", "100"])?;
    assert!(summary.contains("lost         0\n"));
    Ok(())
}

#[test]
fn with_postgres_parts_die_at_random_and_nothing_is_lost_or_doubled() -> Result<()> {
    let summary = crash(&["--store", "postgres", "--kills", "6", "--rename-delay", "100"])?;
    assert!(summary.contains("lost         0\n"));
    Ok(())
}

#[test]
fn without_a_look_at_what_an_insert_has_left_spans_are_lost_and_it_is_seen() -> Result<()> {
    let summary = crash(&["--prove", "--kills", "5"])?;
    assert!(!summary.contains("lost         0\n"));
    Ok(())
}
