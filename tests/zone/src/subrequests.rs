//! Which way a Worker's requests to its own zone go. Cloudflare promises none, and has changed it.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// In the mixture, a share holds for a time of at least and less than this, in milliseconds.
const STRETCH_MS: std::ops::Range<u64> = 1_000..5_000;

/// What the platform does at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Past rules and Workers to the origin, as it was for years.
    Straight,
    /// Through all rules of the zone.
    Through,
    /// Sometimes so and sometimes so, in shares that change by themselves.
    Mixed,
}

/// Which way one request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Past the rules.
    Straight,
    /// Through the rules.
    Through,
}

/// Decides for each request.
#[derive(Debug)]
pub struct Subrequests {
    mode: Mode,
    random: Rng,
    share_through: f64,
    until: Option<Instant>,
}

impl Subrequests {
    /// The same seed decides the same way at the same times.
    pub fn new(mode: Mode, seed: u64) -> Self {
        Self { mode, random: Rng::with_seed(seed), share_through: 0.0, until: None }
    }

    /// Changes the mode.
    pub fn set(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// The mode.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The way of the next request.
    pub fn way(&mut self, now: Instant) -> Way {
        let through = match self.mode {
            Mode::Straight => false,
            Mode::Through => true,
            Mode::Mixed => {
                while self.until.is_none_or(|until| now >= until) {
                    let stretch = Duration::from_millis(self.random.u64(STRETCH_MS));
                    self.until = Some(self.until.unwrap_or(now) + stretch);
                    // Now and then all of them go one way.
                    self.share_through = (self.random.f64() * 1.4 - 0.2).clamp(0.0, 1.0);
                }
                self.random.f64() < self.share_through
            }
        };
        if through { Way::Through } else { Way::Straight }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request every ten milliseconds, for ten minutes.
    fn ways(seed: u64) -> Vec<Way> {
        let mut subrequests = Subrequests::new(Mode::Mixed, seed);
        let begin = Instant::now();
        (0..60_000).map(|n| subrequests.way(begin + Duration::from_millis(n * 10))).collect()
    }

    #[test]
    fn the_mixture_changes_by_itself_and_is_the_seeds() {
        let all = ways(7);
        assert_eq!(all, ways(7));
        assert_ne!(all, ways(8));
        let shares = all.chunks(100).map(|second| second.iter().filter(|way| **way == Way::Through).count());
        let shares: Vec<_> = shares.collect();
        for range in [0..5, 20..80, 95..101] {
            assert!(shares.iter().any(|share| range.contains(share)), "{range:?}: {shares:?}");
        }
    }

    #[test]
    fn the_other_modes_do_not() {
        for (mode, way) in [(Mode::Straight, Way::Straight), (Mode::Through, Way::Through)] {
            let mut subrequests = Subrequests::new(mode, 1);
            assert!((0..100).all(|_| subrequests.way(Instant::now()) == way));
        }
    }
}
