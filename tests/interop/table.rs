//! Every client in every case, and the table of what was seen: docs/INTEROP.md.

use std::fmt::Display;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use futures_util::{StreamExt, stream};
use spillway_tests::document::Document;

use crate::cases::{Bench, Loss, Observed};
use crate::clients::Client;

const DOCUMENT: Document = Document { path: "docs/INTEROP.md", command: "make interop" };

/// How many clients run at a time, each with a stack of its own: most of the time they wait.
const AT_A_TIME: usize = 2;

/// The cases of the first part of the table.
const HALF: usize = 6;

/// What is printed of a client's log in a case.
const LOG_LINES: usize = 8;
const LOG_COLUMNS: usize = 400;

const CASES: [&str; 13] = [
    "plain",
    "gzip",
    "answer lost",
    "answered 503 on the way, stored",
    "answer after the timeout (2 s)",
    "503 before the edge",
    "over the rate",
    "over the quota",
    "too large",
    "R2 out of reach",
    "the same with `Retry-After: 1`",
    "R2 is back",
    "one span invalid",
];

/// What a client has shown.
struct Outcome {
    client: Client,
    cells: Vec<String>,
    failures: Vec<String>,
}

/// Runs all of the clients, and prints the table; where they are all that there are, it goes into the document. A client that fails does not keep the others from being run.
pub async fn run(clients: Vec<Client>) -> Result<()> {
    let start = Instant::now();
    let total = clients.len();
    let runs = stream::iter(clients).map(|client| async move {
        match client.why_left_out() {
            Some(reason) => {
                eprintln!("interop: {} is left out: {reason}", client.name());
                Outcome { client, cells: vec![format!("left out: {reason}")], failures: Vec::new() }
            }
            None => every_case(client).await,
        }
    });
    let outcomes: Vec<_> = runs.buffered(AT_A_TIME).collect().await;
    let left_out = outcomes.iter().filter(|outcome| outcome.client.why_left_out().is_some()).count();
    let seconds = start.elapsed().as_secs_f64();
    let summary = format!(" {} of {total} clients in {seconds:.0} s, {left_out} left out.", total - left_out);
    let table = table(&outcomes);
    eprintln!("\n{table}\ninterop:{summary}");
    if total == Client::ALL.len() {
        DOCUMENT.write(&summary, &table)?;
    }
    let failures: Vec<_> = outcomes.into_iter().flat_map(|outcome| outcome.failures).collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

/// In two parts, each of which fits a page: what is lost on the way, and what the edge answers.
fn table(outcomes: &[Outcome]) -> String {
    let mut table = String::new();
    for columns in [0..HALF, HALF..CASES.len()] {
        if !table.is_empty() {
            table += "\n";
        }
        table += &format!("| client | {} |\n", CASES[columns.clone()].join(" | "));
        table += &format!("|{}\n", " --- |".repeat(columns.len() + 1));
        for Outcome { client, cells, .. } in outcomes {
            let cells = cells.get(columns.clone()).unwrap_or(cells);
            let cells: Vec<_> = cells.iter().map(|cell| cell.replace(['\n', '|'], " ")).collect();
            table += &format!("| {} | {} |\n", client.name(), cells.join(" | "));
        }
    }
    table
}

async fn every_case(client: Client) -> Outcome {
    let mut outcome = Outcome { client, cells: Vec::new(), failures: Vec::new() };
    let bench = match Bench::start().await {
        Ok(bench) => bench,
        Err(error) => {
            outcome.failures.push(format!("{}: no stack: {error:#}", client.name()));
            return outcome;
        }
    };
    for (number, case) in CASES.into_iter().enumerate() {
        let start = Instant::now();
        let cell = match observe(&bench, client, number).await {
            Ok(Some(observed)) => {
                print_log(client, case, &observed);
                cell(&observed)
            }
            Ok(None) => "-".to_owned(),
            Err(error) => {
                outcome.failures.push(format!("{}, {case}: {error:#}", client.name()));
                format!("FAILED: {}", shortened(&error))
            }
        };
        eprintln!("interop: {}, {case}: {cell} ({:.0} s)", client.name(), start.elapsed().as_secs_f64());
        outcome.cells.push(cell);
    }
    if let Err(error) = bench.stop().await {
        outcome.failures.push(format!("{}: the stack did not end well: {error:#}", client.name()));
    }
    outcome
}

async fn observe(bench: &Bench, client: Client, case: usize) -> Result<Option<Observed>> {
    let gzip = client.can_gzip();
    Ok(match case {
        0 => Some(bench.success(client, false).await?),
        1 if !gzip => None,
        1 => Some(bench.success(client, true).await?),
        2 => Some(bench.lossy(client, Loss::Closed, gzip).await?),
        3 => Some(bench.lossy(client, Loss::Replaced, gzip).await?),
        4 => Some(bench.lossy(client, Loss::Late, gzip).await?),
        5 => Some(bench.lossy(client, Loss::Refused, gzip).await?),
        6 => Some(bench.over_the_rate(client).await?),
        7 => Some(bench.over_the_quota(client).await?),
        8 => bench.too_large(client).await?,
        9 => Some(bench.edge_asks_for_two_seconds(client).await?),
        10 => bench.edge_asks_for_one_second(client).await?,
        11 => bench.edge_recovers(client).await?,
        12 => bench.partial_success(client).await?,
        other => bail!("there is no case {other}"),
    })
}

fn print_log(client: Client, case: &str, observed: &Observed) {
    if !observed.others.is_empty() {
        eprintln!("interop: {}, {case}, sends to {} as well", client.name(), observed.others.join(" and "));
    }
    // Of a trace of calls, the lines that are indented tell nothing of ours.
    let lines = observed.report.log.lines().filter(|line| !line.is_empty() && !line.starts_with([' ', '\t']));
    for line in lines.take(LOG_LINES) {
        let line: String = line.chars().take(LOG_COLUMNS).collect();
        eprintln!("interop: {}, {case}, logs: {line}", client.name());
    }
}

/// The answers as the client saw them (`lost` where there was none), how often each, and how it ended. Tries that repeat the
/// message in other bytes, and spans that several stored requests hold, are told.
fn cell(observed: &Observed) -> String {
    let mut answers: Vec<(String, usize)> = Vec::new();
    for each in &observed.tries {
        let answer = each.status().map_or("lost".to_owned(), |status| status.to_string());
        match answers.last_mut() {
            Some((last, times)) if *last == answer => *times += 1,
            _ => answers.push((answer, 1)),
        }
    }
    if answers.is_empty() {
        answers.push(("nothing is sent".to_owned(), 1));
    }
    let answers: Vec<_> = answers
        .into_iter()
        .map(|(answer, times)| if times == 1 { answer } else { format!("{times} × {answer}") })
        .collect();
    let failed = if observed.report.none_failed() { "" } else { ", failed" };
    let after = format!(" after {:.0} s", observed.seconds());
    let after = if observed.tries.len() == 1 && failed.is_empty() { "" } else { &after };
    let mut cell = format!("{}{failed}{after}", answers.join(", "));
    let stored = observed.stored;
    for (count, text) in [(stored.repacked_tries, "repacked"), (stored.repeated, "spans in two requests")] {
        if count > 0 {
            cell = format!("{cell}; {count} {text}");
        }
    }
    cell
}

fn shortened(error: &impl Display) -> String {
    let text = error.to_string().replace('\n', " ");
    text.chars().take(60).collect()
}
