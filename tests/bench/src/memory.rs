//! What processes hold of the memory.

use std::fs;

use anyhow::{Context, Result};

/// The resident bytes of a process, <https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html>.
pub fn resident(id: u32) -> Result<u64> {
    let sizes = fs::read_to_string(format!("/proc/{id}/statm"))?;
    let pages: u64 = sizes.split(' ').nth(1).context("unreadable /proc/PID/statm")?.parse()?;
    Ok(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_written_to_is_resident() {
        let before = resident(std::process::id()).unwrap();
        let taken = vec![1_u8; 64 << 20];
        let after = resident(std::process::id()).unwrap();
        assert!(after >= before + (taken.len() as u64) / 2, "{before} and {after}");
    }
}
