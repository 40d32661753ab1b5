//! The ledger: what every store of it must do, held against SQLite and PostgreSQL; the states of its objects against a
//! model; and lease, fence, sweep and insert in a simulation of crashes and pauses.

#![expect(clippy::unwrap_used, reason = "what it helps with is a test, and ends with it")]

mod adopt;
mod audits;
mod claims;
mod dead;
mod intake;
mod leases;
mod meter;
mod objects;
mod outage;
mod pause;
mod processes;
mod ripeness;
mod routes;
mod setbacks;
mod simulation;
mod states;
mod stores;
mod sweeps;
