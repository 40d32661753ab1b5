//! Free ports.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};

use crate::keys::random_bytes;

/// Below those that Linux takes by default for outgoing connections and for whoever binds port 0
/// (`net.ipv4.ip_local_port_range`): any of these could be taken between the look here and the server's start, or while it is
/// down between two starts.
const PORTS: Range<u16> = 20_000..30_000;

/// A port of loopback that nobody listens on, and that this process has not given out before.
pub fn free_port() -> Result<u16> {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let given = given.get_or_insert_default();
    loop {
        ensure!(given.len() < PORTS.len(), "all ports of loopback from {PORTS:?} are given out");
        let port = PORTS.start + u16::from_le_bytes(random_bytes()?) % (PORTS.end - PORTS.start);
        if given.insert(port) && is_free(port)? {
            return Ok(port);
        }
    }
}

/// `wanted`, if nobody listens there, else any free port.
pub fn free_port_like(wanted: u16) -> Result<u16> {
    if is_free(wanted)? { Ok(wanted) } else { free_port() }
}

fn is_free(port: u16) -> Result<bool> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot listen on port {port} of loopback")),
    }
}
