//! What happens to the parts, by chance.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::plan::Plan;
use crate::world::{Part, World};

/// How often to look what is due.
const TICK: Duration = Duration::from_millis(10);
/// How long to wait for what a strike is aimed at: batches that failed often wait for long.
const AIM: Duration = Duration::from_secs(8);
/// An insert that was seen may go on for so long before it is struck, mostly for less.
const WITHIN_INSERT: Duration = Duration::from_secs(3);
/// A part that ended by itself, as the origin does while its store is away, is started again after that.
const SERVICE_MANAGER: Duration = Duration::from_millis(300);

/// What was done.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// `kill -9`, by victim.
    pub kills: BTreeMap<Part, u64>,
    /// Kills of ClickHouse while an insert was seen to run.
    pub aimed: u64,
    /// Consumers that were halted for longer than a lease.
    pub pauses: u64,
    /// Consumers that were halted for a moment.
    pub stumbles: u64,
    /// Parts that ended by themselves, most of them since their store was away.
    pub ended: BTreeMap<Part, u64>,
}

impl Tally {
    /// How often ClickHouse was killed.
    pub fn server_kills(&self) -> u64 {
        self.kills.get(&Part::ClickHouse).copied().unwrap_or(0)
    }
}

enum Away {
    /// To be started at that time.
    Down(Instant),
    /// To be continued at that time.
    Halted(Instant),
}

/// Strikes, and brings back what was struck.
pub struct Strikes<'w> {
    world: &'w mut World,
    chance: fastrand::Rng,
    away: BTreeMap<Part, Away>,
    next: Instant,
    lease: Duration,
    pace: Duration,
    rename_delay: Duration,
    proving: bool,
    /// What was done so far.
    pub tally: Tally,
}

impl<'w> Strikes<'w> {
    /// Nothing has happened yet.
    pub fn new(world: &'w mut World, plan: &Plan) -> Self {
        Self {
            world,
            chance: plan.chance(2),
            away: BTreeMap::new(),
            next: Instant::now() + Duration::from_millis(plan.pace),
            lease: plan.lease(),
            pace: Duration::from_millis(plan.pace),
            rename_delay: plan.rename_delay(),
            proving: plan.prove,
            tally: Tally::default(),
        }
    }

    /// Strikes for some time.
    pub async fn go_on(&mut self, until: Instant) -> Result<()> {
        while Instant::now() < until {
            self.bring_back(Instant::now()).await?;
            self.look_after()?;
            if Instant::now() >= self.next {
                self.strike().await?;
                self.next = Instant::now() + self.pace.mul_f64(self.chance.f64() * 2.0);
            }
            tokio::time::sleep(TICK).await;
        }
        Ok(())
    }

    /// Brings everything back, and looks after it from then on.
    pub async fn calm(&mut self) -> Result<()> {
        let everything = Instant::now() + Duration::from_secs(3600);
        self.bring_back(everything).await?;
        self.world.await_origin().await
    }

    /// What nobody has struck is started again as well, should it have ended.
    pub async fn look_after_until(&mut self, until: Instant) -> Result<()> {
        while Instant::now() < until {
            self.look_after()?;
            self.bring_back(Instant::now()).await?;
            tokio::time::sleep(TICK).await;
        }
        Ok(())
    }

    /// The parts.
    pub fn world(&self) -> &World {
        self.world
    }

    async fn strike(&mut self) -> Result<()> {
        let standing: Vec<_> =
            self.world.parts().into_iter().filter(|part| !self.away.contains_key(part)).collect();
        let total: u32 = standing.iter().map(|part| weight(*part)).sum();
        if total == 0 {
            return Ok(());
        }
        let mut drawn = self.chance.u32(..total);
        let victim = standing.into_iter().find(|part| {
            let weight = weight(*part);
            let hit = drawn < weight;
            drawn = drawn.saturating_sub(weight);
            hit
        });
        let Some(victim) = victim else { return Ok(()) };
        if matches!(victim, Part::Consumer(_)) && self.chance.u32(..5) < 2 {
            let length = match self.chance.u32(..4) {
                0 => {
                    self.tally.stumbles += 1;
                    Duration::from_millis(self.chance.u64(50..1000))
                }
                _ => {
                    self.tally.pauses += 1;
                    // Up to the point where several leases have run out meanwhile.
                    self.lease + self.lease.mul_f64(0.1 + 2.0 * self.chance.f64().powi(2))
                }
            };
            self.world.halt(victim);
            self.away.insert(victim, Away::Halted(Instant::now() + length));
            return Ok(());
        }
        if victim == Part::ClickHouse {
            match self.chance.u32(..4) {
                _ if self.proving => self.aim(Duration::ZERO).await?,
                0 => {}
                1 => self.aim(WITHIN_INSERT).await?,
                // Without that, kills would follow each other so fast that nothing is ever stored between them.
                _ => {
                    self.await_rows().await?;
                    self.aim(WITHIN_INSERT).await?;
                }
            }
        }
        self.world.kill(victim).await?;
        *self.tally.kills.entry(victim).or_default() += 1;
        let length = Duration::from_millis(self.chance.u64(0..1500));
        self.away.insert(victim, Away::Down(Instant::now() + length));
        Ok(())
    }

    /// Waits until there are more rows.
    async fn await_rows(&mut self) -> Result<()> {
        let deadline = Instant::now() + AIM;
        let mut before = None;
        while Instant::now() < deadline {
            match (before, self.world.rows().await) {
                (Some(before), Some(rows)) if rows > before => break,
                (before_that, rows) => before = before_that.or(rows),
            }
            self.bring_back(Instant::now()).await?;
            tokio::time::sleep(TICK).await;
        }
        Ok(())
    }

    /// Waits until a batch is being inserted, and then up to `within` and as long as a rename.
    async fn aim(&mut self, within: Duration) -> Result<()> {
        let within = within.mul_f64(self.chance.f64().powi(3)) + self.rename_delay.mul_f64(self.chance.f64());
        let deadline = Instant::now() + AIM;
        while Instant::now() < deadline {
            if self.world.is_inserting().await {
                self.tally.aimed += 1;
                tokio::time::sleep(within).await;
                break;
            }
            self.bring_back(Instant::now()).await?;
        }
        Ok(())
    }

    async fn bring_back(&mut self, now: Instant) -> Result<()> {
        let is_due = |away: &Away| matches!(away, Away::Down(due) | Away::Halted(due) if *due <= now);
        let due: Vec<_> = self.away.iter().filter(|(_, away)| is_due(away)).map(|(part, _)| *part).collect();
        for part in due {
            match self.away.remove(&part) {
                Some(Away::Halted(_)) => self.world.resume(part),
                Some(Away::Down(_)) => self.world.start_again(part).await?,
                None => {}
            }
        }
        Ok(())
    }

    fn look_after(&mut self) -> Result<()> {
        for part in self.world.parts() {
            if self.away.contains_key(&part) {
                continue;
            }
            if self.world.ended(part)?.is_some() {
                *self.tally.ended.entry(part).or_default() += 1;
                self.away.insert(part, Away::Down(Instant::now() + SERVICE_MANAGER));
            }
        }
        Ok(())
    }
}

/// How often a part is struck, beside the others.
fn weight(part: Part) -> u32 {
    match part {
        Part::ClickHouse => 8,
        Part::Postgres => 2,
        Part::Origin => 2,
        Part::Consumer(_) => 4,
    }
}
