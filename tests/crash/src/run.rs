//! A run: load and strikes, then calm, then the count.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::load::{Load, Manifest};
use crate::logs::Logs;
use crate::plan::Plan;
use crate::strikes::{Strikes, Tally};
use crate::summary::Summary;
use crate::verdict::Verdict;
use crate::world::World;

const PROGRESS: Duration = Duration::from_secs(5);
/// Between two counts, in the end.
const LOOK: Duration = Duration::from_secs(2);
/// What is missing though the ledger has done with everything, and for so long, does not come any more. The sweep's last
/// word on a minute comes sooner.
const QUIET: Duration = Duration::from_secs(150);
const QUIET_WHEN_PROVING: Duration = Duration::from_secs(15);

/// Runs it, and says what came of it.
pub async fn run(plan: Plan) -> Result<()> {
    let began = Instant::now();
    eprintln!("crash: seed {}, {:?}", plan.seed, plan);
    let asked = Asked::listen()?;
    let own = TempDir::with_prefix("spillway-crash-")?;
    let folder = plan.folder.clone().unwrap_or_else(|| own.path().to_owned());
    std::fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    eprintln!("crash: logs and data are in {}", folder.display());
    let summary = tokio::select! {
        summary = play(&plan, &folder, began, &asked.once) => summary,
        () = asked.twice.cancelled() => bail!("asked to end at once"),
    };
    let verdict = summary.and_then(|summary| {
        println(&summary.to_string())?;
        judge(&plan, &summary)
    });
    if verdict.is_err() {
        let kept: PathBuf = if plan.folder.is_none() { own.keep() } else { folder };
        eprintln!("crash: logs and data are kept in {}", kept.display());
    }
    verdict
}

fn judge(plan: &Plan, summary: &Summary) -> Result<()> {
    ensure!(summary.logs.panics == 0, "a part panicked");
    let kills = summary.tally.server_kills();
    if kills < plan.kills {
        eprintln!("crash: was asked to end after {kills} of {} kills of clickhouse; they count", plan.kills);
    }
    let verdict = &summary.verdict;
    if plan.prove {
        ensure!(
            verdict.lost > 0,
            "nothing was lost, though nobody looked after inserts that may have failed"
        );
        return Ok(());
    }
    ensure!(summary.dead == 0, "{} objects were set aside", summary.dead);
    ensure!(verdict.is_good(), "spans are lost, doubled or misfiled");
    Ok(())
}

/// Asked to end, a run strikes no more, and counts.
struct Asked {
    once: CancellationToken,
    twice: CancellationToken,
}

impl Asked {
    /// By SIGTERM or SIGINT.
    fn listen() -> Result<Self> {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let asked = Self { once: CancellationToken::new(), twice: CancellationToken::new() };
        let tokens = [asked.once.clone(), asked.twice.clone()];
        tokio::spawn(async move {
            for token in tokens {
                tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
                token.cancel();
            }
        });
        Ok(asked)
    }
}

async fn play(plan: &Plan, folder: &Path, began: Instant, enough: &CancellationToken) -> Result<Summary> {
    let mut world = World::start(plan, folder).await?;
    let load = Load::start(&world.edge.url, &world.keys, plan, folder)?;
    eprintln!("crash: everything runs after {:.1?}", began.elapsed());
    let mut strikes = Strikes::new(&mut world, plan);
    let least = Instant::now() + Duration::from_secs(plan.seconds);
    let is_done = |tally: &Tally| tally.server_kills() >= plan.kills && Instant::now() >= least;
    while !is_done(&strikes.tally) && !enough.is_cancelled() {
        strikes.go_on(Instant::now() + PROGRESS).await?;
        progress(began, &load.manifest, &strikes.tally);
    }
    let manifest = load.stop().await?;
    strikes.calm().await?;
    eprintln!("crash: all exports are answered, and everything runs again");
    let (verdict, dead) = settle(plan, &mut strikes, &manifest, began).await?;
    let (tally, dropped) = (strikes.tally.clone(), world.lossy.dropped());
    drop(world);
    let logs = Logs::read(folder)?;
    Ok(Summary { plan: plan.clone(), tally, dropped, manifest, verdict, dead, logs, took: began.elapsed() })
}

fn progress(began: Instant, manifest: &Manifest, tally: &Tally) {
    let (exports, spans) = manifest.totals();
    let others: u64 = tally.kills.values().sum::<u64>() - tally.server_kills();
    eprintln!(
        "crash: {:>4} s, {} kills of clickhouse, {others} of others, {} pauses, {exports} exports and {spans} spans promised",
        began.elapsed().as_secs(),
        tally.server_kills(),
        tally.pauses,
    );
}

/// Waits until everything is there, or nothing comes any more. Then until no consumer can still be at it.
async fn settle(
    plan: &Plan,
    strikes: &mut Strikes<'_>,
    manifest: &Manifest,
    began: Instant,
) -> Result<(Verdict, u64)> {
    strikes.world().delay_renames(Duration::ZERO)?;
    let promises = manifest.promises();
    let quiet_for = if plan.prove { QUIET_WHEN_PROVING } else { QUIET };
    let deadline = Instant::now() + Duration::from_secs(plan.patience);
    let (mut before, mut quiet_since) = (u64::MAX, Instant::now());
    loop {
        strikes.look_after_until(Instant::now() + LOOK).await?;
        let client = strikes.world().engine.client();
        let (verdict, depth) = tokio::join!(Verdict::of(&client, &promises), strikes.world().depth());
        let (Ok(verdict), Ok((under_way, dead))) = (&verdict, &depth) else {
            ensure!(Instant::now() < deadline, "cannot count: {:?} {:?}", verdict.err(), depth.err());
            continue;
        };
        eprintln!(
            "crash: {:>4} s, {} spans are missing, {under_way} objects are under way, {dead} are dead",
            began.elapsed().as_secs(),
            verdict.lost
        );
        if *under_way > 0 || verdict.lost != before {
            (before, quiet_since) = (verdict.lost, Instant::now());
        }
        let is_there = verdict.lost == 0 && *under_way == 0;
        if is_there || quiet_since.elapsed() > quiet_for || Instant::now() > deadline {
            break;
        }
    }
    strikes.look_after_until(Instant::now() + plan.lease() * 2).await?;
    let verdict = Verdict::of(&strikes.world().engine.client(), &promises).await.context("the last count")?;
    let (_, dead) = strikes.world().depth().await?;
    Ok((verdict, dead))
}

fn println(text: &str) -> Result<()> {
    use std::io::Write;
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
