//! How far it is, on standard error: a bar on a terminal, else a line now and then.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output;

/// The time between two lines.
const EVERY: Duration = Duration::from_secs(5);
/// The time between two looks of the bar.
const TICK: Duration = Duration::from_millis(200);

/// The rows that are to be copied, and those that were.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

struct State {
    began: Instant,
    last_line: Option<Instant>,
    /// Of statements that have ended.
    rows: u64,
    of: u64,
}

impl Progress {
    pub(super) fn on_stderr() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let template = "{wide_bar} {percent:>3}%  {human_pos}/{human_len} rows, {per_sec}, {eta} left";
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style);
            bar.enable_steady_tick(TICK);
            bar
        });
        let state = State { began: Instant::now(), last_line: None, rows: 0, of: 0 };
        Self { bar, state: Mutex::new(state) }
    }

    /// Begins anew, with `rows` to copy.
    pub(super) fn of(&self, rows: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { began: Instant::now(), of: rows, rows: 0, ..*state };
        if let Some(bar) = &self.bar {
            bar.set_length(rows);
            bar.reset();
        }
    }

    /// `rows` more are copied.
    pub(super) fn add(&self, rows: u64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).rows += rows;
        self.beside(0);
    }

    /// Shows `rows` of a statement that still runs.
    pub(super) fn beside(&self, rows: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = state.rows + rows;
        if let Some(bar) = &self.bar {
            bar.set_position(rows.min(state.of));
            return;
        }
        let now = Instant::now();
        if state.of > 0 && state.last_line.is_none_or(|last| now.duration_since(last) >= EVERY) {
            state.last_line = Some(now);
            output::note(&line(rows, state.of, now.duration_since(state.began)));
        }
    }

    /// Says something that is to stay.
    pub(super) fn say(&self, text: &str) {
        let text = format!("rebuild-table: {text}");
        match &self.bar {
            Some(bar) => bar.suspend(|| output::note(&text)),
            None => output::note(&text),
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(rows: u64, of: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let left = match rows {
        0 => String::new(),
        _ => format!(", {:.0} s left", seconds * of.saturating_sub(rows) as f64 / rows as f64),
    };
    let (percent, rate) = (rows.saturating_mul(100) / of.max(1), rows as f64 / seconds);
    format!("rebuild-table: {rows} of {of} rows ({percent} %), {rate:.0} rows/s{left}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_how_fast_and_how_long() {
        let after = Duration::from_secs(10);
        insta::assert_snapshot!(line(2_000_000, 8_000_000, after), @"rebuild-table: 2000000 of 8000000 rows (25 %), 200000 rows/s, 30 s left");
        insta::assert_snapshot!(line(0, 8, Duration::ZERO), @"rebuild-table: 0 of 8 rows (0 %), 0 rows/s");
    }
}
