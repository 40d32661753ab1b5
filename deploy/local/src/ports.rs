//! Free ports.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

use crate::keys::random_bytes;

/// Below those that Linux takes by default for outgoing connections and for whoever binds port 0
/// (`net.ipv4.ip_local_port_range`): any of these could be taken between the look here and the server's start, or while it is
/// down between two starts.
const PORTS: Range<u16> = 20_000..30_000;
/// As many as a process takes at once.
const BLOCK: u16 = 50;

/// A port of loopback that nobody listens on, and that neither this process nor another one that asks here has been given.
pub fn free_port() -> Result<u16> {
    static OURS: Mutex<Ports> = Mutex::new(Ports { blocks: Vec::new(), left: 0..0 });
    OURS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next()
}

/// `wanted`, if nobody listens there, else any free port.
pub fn free_port_like(wanted: u16) -> Result<u16> {
    if is_free(wanted)? { Ok(wanted) } else { free_port() }
}

/// The blocks of ports that are a process's own until it ends. The UDP port of a block's first number says so to others: no
/// server here wants UDP, and the kernel gives it back whatever the process ends by.
struct Ports {
    blocks: Vec<UdpSocket>,
    left: Range<u16>,
}

impl Ports {
    fn next(&mut self) -> Result<u16> {
        loop {
            match self.left.next() {
                Some(port) if is_free(port)? => return Ok(port),
                Some(_) => {}
                None => self.take_block()?,
            }
        }
    }

    fn take_block(&mut self) -> Result<()> {
        let blocks = (PORTS.end - PORTS.start) / BLOCK;
        let chosen = u16::from_le_bytes(random_bytes()?) % blocks;
        for block in (0..blocks).map(|step| (chosen + step) % blocks) {
            let first = PORTS.start + block * BLOCK;
            if let Some(socket) = unless_in_use(first, UdpSocket::bind((Ipv4Addr::LOCALHOST, first)))? {
                self.blocks.push(socket);
                self.left = first..first + BLOCK;
                return Ok(());
            }
        }
        bail!("all ports of loopback from {PORTS:?} are given out");
    }
}

fn is_free(port: u16) -> Result<bool> {
    Ok(unless_in_use(port, TcpListener::bind((Ipv4Addr::LOCALHOST, port)))?.is_some())
}

fn unless_in_use<T>(port: u16, bound: std::io::Result<T>) -> Result<Option<T>> {
    match bound {
        Ok(bound) => Ok(Some(bound)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot bind port {port} of loopback")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn two_processes_are_never_given_the_same_port() {
        let mut processes = [(); 2].map(|()| Ports { blocks: Vec::new(), left: 0..0 });
        let mut given = HashSet::new();
        for _ in 0..3 * BLOCK {
            for process in &mut processes {
                assert!(given.insert(process.next().unwrap()));
            }
        }
        assert!(given.iter().all(|port| PORTS.contains(port)));
    }
}
