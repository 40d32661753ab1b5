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
    Ok(of_ticks(ticks(&stat).context("unreadable /proc/PID/stat")?))
}

/// What the processes of a group use that still run, of which `leader` is the first.
pub fn of_group(leader: u32) -> Result<Duration> {
    Ok(of_ticks(group(leader)?.iter().filter_map(|stat| ticks(stat)).sum()))
}

/// What those of a group use whose program is named so, and what the others use.
pub fn of_group_by_name(leader: u32, program: &str) -> Result<(Duration, Duration)> {
    let (named, others): (Vec<_>, Vec<_>) =
        group(leader)?.into_iter().partition(|stat| name_in(stat) == Some(program));
    let used = |stats: &[String]| of_ticks(stats.iter().filter_map(|stat| ticks(stat)).sum());
    Ok((used(&named), used(&others)))
}

/// `/proc/PID/stat` of all processes of a group.
fn group(leader: u32) -> Result<Vec<String>> {
    let stats = fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    Ok(stats.filter(|stat| field(stat, 5) == Some(leader.into())).collect())
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

fn of_ticks(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// `utime` and `stime`.
fn ticks(stat: &str) -> Option<u64> {
    Some(field(stat, 14)? + field(stat, 15)?)
}

/// The second field, without its brackets.
fn name_in(stat: &str) -> Option<&str> {
    let (before, _) = stat.rsplit_once(") ")?;
    Some(before.split_once(" (")?.1)
}

/// A field behind the second one, which is a name in brackets that may hold anything. The first is number 1.
fn field(stat: &str, number: usize) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    after_name.split(' ').nth(number - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_move_the_fields() {
        let stat = "12 (a) b (c) S 1 12 12 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 1000";
        assert_eq!((ticks(stat), field(stat, 5)), (Some(300), Some(12)));
        assert_eq!(name_in(stat), Some("a) b (c"));
    }
}
