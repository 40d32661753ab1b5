//! Who descends from a process, as `/proc` tells.

use std::collections::HashSet;
use std::fs;

use rustix::process::Pid;

/// One process, as `/proc/PID/stat` has it.
struct Stat {
    pid: Pid,
    state: char,
    parent: i32,
    group: i32,
}

/// The descendants of a group's leader that are in other groups.
pub fn outside_of_group(leader: Pid) -> Vec<Pid> {
    let all = processes();
    let mut family = HashSet::from([leader.as_raw_pid()]);
    loop {
        let known = family.len();
        for stat in &all {
            if family.contains(&stat.parent) {
                family.insert(stat.pid.as_raw_pid());
            }
        }
        if family.len() == known {
            break;
        }
    }
    let outside = |stat: &&Stat| family.contains(&stat.pid.as_raw_pid()) && stat.group != leader.as_raw_pid();
    all.iter().filter(outside).map(|stat| stat.pid).collect()
}

/// Whether a process still runs; one that nobody has waited for yet does not.
pub fn is_alive(pid: Pid) -> bool {
    stat(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

fn processes() -> Vec<Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter_map(stat).collect()
}

fn stat(pid: Pid) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Stat { pid, state, parent, group })
}
