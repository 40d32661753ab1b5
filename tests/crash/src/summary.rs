//! What a run came to, for people.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::load::Manifest;
use crate::logs::Logs;
use crate::plan::Plan;
use crate::strikes::Tally;
use crate::verdict::Verdict;
use crate::world::Part;

/// Everything about a run.
pub struct Summary {
    /// What it was to be.
    pub plan: Plan,
    /// What was done.
    pub tally: Tally,
    /// Notifications that nobody got.
    pub dropped: u64,
    /// What was promised.
    pub manifest: Arc<Manifest>,
    /// What was found.
    pub verdict: Verdict,
    /// Objects that were set aside.
    pub dead: u64,
    /// What the parts have said.
    pub logs: Logs,
    /// From the start to the last count.
    pub took: Duration,
}

impl Summary {
    fn kills_of(&self, is_it: impl Fn(&Part) -> bool) -> u64 {
        self.tally.kills.iter().filter(|(part, _)| is_it(part)).map(|(_, kills)| kills).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, tally, dropped, manifest, verdict, dead, logs, took } = self;
        let (exports, spans) = manifest.totals();
        let consumers = self.kills_of(|part| matches!(part, Part::Consumer(_)));
        writeln!(f, "seed {}, {:?}, {} s", plan.seed, plan.store, took.as_secs())?;
        writeln!(
            f,
            "  kill -9      {} clickhouse ({} of them within an insert), {consumers} consumers, {} origin, {} postgres",
            tally.server_kills(),
            tally.aimed,
            self.kills_of(|part| *part == Part::Origin),
            self.kills_of(|part| *part == Part::Postgres),
        )?;
        writeln!(
            f,
            "  halted       {} times past the lease, {} times for a moment",
            tally.pauses, tally.stumbles
        )?;
        let ended: Vec<_> = tally.ended.iter().map(|(part, times)| format!("{times} {part}")).collect();
        writeln!(
            f,
            "  by itself    {}",
            if ended.is_empty() { "nothing ended".to_owned() } else { ended.join(", ") }
        )?;
        writeln!(
            f,
            "  exports      {exports} acknowledged, {} of them sent twice; refused {:?}; {} without an answer",
            manifest.resent(),
            manifest.refused(),
            manifest.unanswered(),
        )?;
        writeln!(
            f,
            "  notified     {dropped} notifications lost on the way; {} objects found by the sweep",
            logs.swept
        )?;
        writeln!(
            f,
            "  batches      {} stored, {} of them retried (up to {} tries), {} healed tokens, {} leases lost; {dead} objects dead",
            logs.stored, logs.retried, logs.most_tries, logs.healed, logs.lease_lost,
        )?;
        writeln!(f, "  spans        {spans} acknowledged, {} rows", verdict.rows)?;
        writeln!(
            f,
            "  lost         {}\n  doubled      {} by object and row, {} by trace and span",
            verdict.lost, verdict.doubled_rows, verdict.doubled_spans,
        )?;
        writeln!(
            f,
            "  misfiled     {}; {} traces without their times",
            verdict.misfiled, verdict.without_times
        )?;
        if !verdict.short.is_empty() {
            let some: Vec<_> = verdict.short.iter().take(5).map(String::as_str).collect();
            writeln!(f, "  short traces {}, such as {}", verdict.short.len(), some.join(" "))?;
        }
        writeln!(f, "  panics       {}", logs.panics)?;
        for (times, complaint) in &logs.complaints {
            writeln!(f, "  {times:>6} × {complaint}")?;
        }
        Ok(())
    }
}
