//! `make instructions`: how many instructions the hot functions take for a span, counted by callgrind on input that is always
//! the same, and held to a budget that is committed. It is no timed test: a busy machine counts the same.

mod work;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use tempfile::TempDir;

/// How far above its budget a function may be, since compilers and hashes differ a little.
const TOLERANCE: f64 = 1.05;
/// Below this a budget is to be lowered, so that what was won is not lost unseen.
const SLACK: f64 = 0.80;

/// Counts the instructions that the hot functions take for a span, and holds them to tests/bench/instructions/budget.json
/// (exit code 1 above it, or far below; or where descending order of fields takes more than 1.1 times what ascending order
/// takes). Wants valgrind, which `make instructions` installs.
#[derive(Parser)]
struct Cli {
    /// Write the counts into the budget
    #[arg(long)]
    write: bool,
    /// Only the functions whose name contains this; may be given several times
    #[arg(long, value_name = "NAME", conflicts_with = "write")]
    only: Vec<String>,
    /// Do one function's work, and nothing else: what callgrind looks at
    #[arg(long, value_name = "FUNCTION", hide = true)]
    run: Option<String>,
}

/// How much more a function may take where the fields of all messages are in descending order, as the Collector writes them.
const DESCENDING_TOLERANCE: f64 = 1.1;
const DESCENDING: &str = ", descending";

/// Instructions a span, by function.
type Counts = BTreeMap<String, f64>;

fn main() -> Result<()> {
    let cli = Cli::parse();
    if let Some(name) = &cli.run {
        let work = work::ALL.iter().find(|(known, _)| known == name).context("no such function")?;
        return work.1();
    }
    let is_chosen = |name: &str| cli.only.is_empty() || cli.only.iter().any(|part| name.contains(part));
    let chosen = work::ALL.iter().filter(|(name, _)| is_chosen(name));
    let counts: Counts =
        chosen.map(|(name, _)| Ok((name.to_string(), count(name)?))).collect::<Result<_>>()?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("budget.json");
    if cli.write {
        compare_orders(&counts)?;
        return Ok(fs::write(&file, serde_json::to_string_pretty(&counts)? + "\n")?);
    }
    let mut budget: Counts = serde_json::from_slice(&fs::read(&file)?).context("budget.json")?;
    budget.retain(|name, _| is_chosen(name));
    compare(&counts, &budget)
}

fn compare(counts: &Counts, budget: &Counts) -> Result<()> {
    let (mut over, mut below) = (Vec::new(), Vec::new());
    writeln!(stdout(), "| function | instructions a span | budget |\n| --- | ---: | ---: |")?;
    for (name, count) in counts {
        let Some(budget) = budget.get(name) else {
            writeln!(stdout(), "| {name} | {count:.0} | none |")?;
            continue;
        };
        writeln!(stdout(), "| {name} | {count:.0} | {budget:.0} |")?;
        if *count > budget * TOLERANCE {
            over.push(name.as_str());
        } else if *count < budget * SLACK {
            below.push(name.as_str());
        }
    }
    compare_orders(counts)?;
    ensure!(counts.keys().eq(budget.keys()), "budget.json is not of these functions: run with --write");
    if !over.is_empty() {
        bail!("above the budget: {}; if that is worth it, run with --write, and say why", over.join(", "));
    }
    if !below.is_empty() {
        bail!("far below the budget: {}; keep what was won: run with --write", below.join(", "));
    }
    Ok(())
}

/// An error if a function takes much longer to read requests in descending order than in ascending order.
fn compare_orders(counts: &Counts) -> Result<()> {
    for (name, count) in counts {
        let ascending = name.strip_suffix(DESCENDING).and_then(|name| counts.get(name));
        if let Some(ascending) = ascending.filter(|ascending| *count > **ascending * DESCENDING_TOLERANCE) {
            bail!(
                "{name}: {count:.0} instructions a span are more than {DESCENDING_TOLERANCE} times {ascending:.0}"
            );
        }
    }
    Ok(())
}

fn count(function: &str) -> Result<f64> {
    let folder = TempDir::new()?;
    let file = folder.path().join("callgrind.out");
    let this = std::env::current_exe()?;
    let valgrind = std::env::var_os("SPILLWAY_VALGRIND").filter(|path| !path.is_empty());
    let mut valgrind = Command::new(valgrind.unwrap_or_else(|| "valgrind".into()));
    valgrind.args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*measured_by_callgrind*"]);
    valgrind.arg(flag("--callgrind-out-file=", &file)).arg(this).args(["--run", function]);
    let run = valgrind.output().context("valgrind cannot be run")?;
    ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let counted = fs::read_to_string(&file)?;
    let total = counted.lines().find_map(|line| line.strip_prefix("totals: ")).context("no totals")?;
    let total: f64 = total.trim().parse()?;
    ensure!(total > 0.0, "callgrind has counted nothing of {function}");
    Ok(total / work::SPANS as f64)
}

fn flag(name: &str, value: &Path) -> PathBuf {
    let mut flag = std::ffi::OsString::from(name);
    flag.push(value);
    flag.into()
}
