//! What is shown of a replay while it goes on, on standard error: a bar on a terminal, else a line now and then.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::in_flight::Counts;
use super::selection::Listing;

/// The time between two lines.
const EVERY: Duration = Duration::from_secs(5);
/// The time between two looks of the bar.
const TICK: Duration = Duration::from_millis(200);

/// How far a replay is, for whoever watches it.
pub struct Progress {
    state: Mutex<State>,
    bar: Option<ProgressBar>,
    lines: Mutex<Box<dyn Write + Send>>,
}

struct State {
    began: Instant,
    last_line: Instant,
    /// What this run has done; what earlier ones did says nothing of its rate.
    counts: Counts,
    expected: Option<Listing>,
}

impl Progress {
    /// On standard error, in the form that fits it.
    pub fn on_stderr() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let target = ProgressDrawTarget::stderr();
            let bar = ProgressBar::with_draw_target(None, target).with_style(style(false));
            bar.enable_steady_tick(TICK);
            bar
        });
        Self::new(bar, Box::new(io::stderr()))
    }

    /// With a bar or without, and lines to somewhere.
    fn new(bar: Option<ProgressBar>, lines: Box<dyn Write + Send>) -> Self {
        let now = Instant::now();
        let state = State { began: now, last_line: now, counts: Counts::default(), expected: None };
        Self { state: Mutex::new(state), bar, lines: Mutex::new(lines) }
    }

    /// From now on it is known how much this run has to do; the time left is shown.
    pub fn expect(&self, listing: Listing) {
        self.state().expected = Some(listing);
        if let Some(bar) = &self.bar {
            bar.set_length(listing.objects);
            bar.set_style(style(true));
        }
    }

    /// Objects have come to an end.
    pub fn add(&self, counts: Counts) {
        self.state().counts += counts;
        self.tick(Instant::now());
    }

    /// Shows what is due by now: to be called now and then, so that a replay that stands still says so.
    pub fn tick(&self, now: Instant) {
        let mut state = self.state();
        let elapsed = now.saturating_duration_since(state.began);
        if let Some(bar) = &self.bar {
            bar.set_position(ended(&state.counts));
            bar.set_message(said(&state.counts, elapsed));
        } else if now.saturating_duration_since(state.last_line) >= EVERY {
            state.last_line = now;
            let line = line(&state.counts, state.expected, elapsed);
            drop(state);
            self.say(&line);
        }
    }

    /// Says something that is to stay, beside the bar.
    pub fn say(&self, text: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        // A closed standard error means that nobody reads along.
        let _ = match &self.bar {
            Some(bar) => bar.suspend(|| writeln!(lines, "{text}")),
            None => writeln!(lines, "{text}"),
        };
    }

    /// Takes the bar away, and says the last line.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let state = self.state();
        let line = line(&state.counts, None, state.began.elapsed());
        drop(state);
        self.say(&line);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn style(knows_length: bool) -> ProgressStyle {
    let template = if knows_length {
        "{wide_bar} {percent:>3}%  {pos}/{len} objects, {msg}, {eta} left"
    } else {
        "{spinner} {pos} objects, {msg}, {elapsed}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Objects that need no more work.
fn ended(counts: &Counts) -> u64 {
    let Counts { replayed, of_others, unreadable, resends, in_hand } = counts;
    replayed.objects + of_others + unreadable + resends + in_hand
}

fn said(counts: &Counts, elapsed: Duration) -> String {
    let per_second = counts.replayed.spans as f64 / elapsed.as_secs_f64().max(0.001);
    let mut said = format!("{} spans, {per_second:.0} spans/s", counts.replayed.spans);
    let others = [
        (counts.of_others, "of other tenants"),
        (counts.resends, "resends"),
        (counts.in_hand, "left to a consumer"),
        (counts.unreadable, "unreadable"),
    ];
    for (number, what) in others {
        if number > 0 {
            said += &format!(", {number} {what}");
        }
    }
    said
}

fn line(counts: &Counts, expected: Option<Listing>, elapsed: Duration) -> String {
    let (ended, said) = (ended(counts), said(counts, elapsed));
    match expected {
        Some(expected) => {
            let percent = ended * 100 / expected.objects.max(1);
            let left = left(ended, expected.objects, elapsed);
            format!("replay: {ended} of {} objects ({percent} %), {said}{left}", expected.objects)
        }
        None => format!("replay: {ended} objects in {} s, {said}", elapsed.as_secs()),
    }
}

fn left(ended: u64, expected: u64, elapsed: Duration) -> String {
    if ended == 0 {
        return String::new();
    }
    let left = elapsed.as_secs_f64() * expected.saturating_sub(ended) as f64 / ended as f64;
    format!(", {} s left", left.ceil())
}

#[cfg(test)]
mod tests {
    use super::super::totals::Tally;
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn counts() -> Counts {
        let replayed = Tally { objects: 20, spans: 1_000, bytes: 50_000 };
        Counts { replayed, of_others: 4, unreadable: 1, ..Counts::default() }
    }

    #[test]
    fn a_line_tells_how_far_how_fast_and_how_long() {
        let elapsed = Duration::from_secs(10);
        let expected = Some(Listing { objects: 100, spans: 4_000 });
        insta::assert_snapshot!(line(&counts(), None, elapsed), @"replay: 25 objects in 10 s, 1000 spans, 100 spans/s, 4 of other tenants, 1 unreadable");
        insta::assert_snapshot!(line(&counts(), expected, elapsed), @"replay: 25 of 100 objects (25 %), 1000 spans, 100 spans/s, 4 of other tenants, 1 unreadable, 30 s left");
        let more = Counts { resends: 2, in_hand: 3, ..counts() };
        insta::assert_snapshot!(line(&more, None, elapsed), @"replay: 30 objects in 10 s, 1000 spans, 100 spans/s, 4 of other tenants, 2 resends, 3 left to a consumer, 1 unreadable");
        insta::assert_snapshot!(line(&Counts::default(), expected, Duration::ZERO), @"replay: 0 of 100 objects (0 %), 0 spans, 0 spans/s");
    }

    #[test]
    fn lines_come_every_few_seconds_and_at_the_end() {
        let screen = Screen::default();
        let progress = Progress::new(None, Box::new(screen.clone()));
        let shown = || String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
        let now = Instant::now();
        progress.add(counts());
        progress.tick(now + EVERY / 2);
        assert_eq!(shown(), "");
        progress.expect(Listing { objects: 50, spans: 2_000 });
        progress.tick(now + 2 * EVERY);
        progress.tick(now + 2 * EVERY);
        assert!(shown().starts_with("replay: 25 of 50 objects (50 %)"), "{}", shown());
        assert_eq!(shown().lines().count(), 1);
        progress.end();
        assert_eq!(shown().lines().count(), 2);
    }

    #[test]
    fn a_bar_takes_the_same_calls() {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let progress = Progress::new(Some(bar.clone()), Box::new(io::sink()));
        progress.expect(Listing { objects: 50, spans: 2_000 });
        progress.add(counts());
        assert_eq!((bar.position(), bar.length()), (25, Some(50)));
        assert!(bar.message().contains("1000 spans"), "{}", bar.message());
        progress.end();
        assert!(bar.is_finished());
    }
}
