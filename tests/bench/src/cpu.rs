//! What processes have used of the processor, and which one it is.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// What this thread has used, user and system.
pub fn of_this_thread() -> Duration {
    duration(clock_gettime(ClockId::ThreadCPUTime))
}

/// What this process has used, user and system.
pub fn of_this_process() -> Duration {
    duration(clock_gettime(ClockId::ProcessCPUTime))
}

/// What another process has used, user and system, in steps of the kernel's tick.
pub fn of_process(id: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let ticks = ticks(&stat).context("unreadable /proc/PID/stat")?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// The processor's name.
pub fn name() -> Option<String> {
    let about = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = about.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn duration(time: Timespec) -> Duration {
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// `utime` and `stime`, fields 14 and 15; the second one is a name in brackets that may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11);
    let mut number = || fields.next()?.parse::<u64>().ok();
    Some(number()? + number()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_move_the_fields() {
        let stat = "12 (a) b (c) S 1 12 12 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 1000";
        assert_eq!(ticks(stat), Some(300));
    }
}
