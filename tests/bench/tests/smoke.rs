//! That the benchmarks work at all. What they measure is not looked at.

use std::process::Command;

use anyhow::{Result, ensure};
use local_stack::tools::checkout;
use serde_json::Value;
use spillway_bench::variants::ALL;
use tempfile::TempDir;

#[test]
fn a_short_run_fills_every_cell() -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("figures.json");
    let run =
        Command::new(env!("CARGO_BIN_EXE_bench-edge")).arg("--short").arg("--json").arg(&file).output()?;
    ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let figures: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let rows = |name: &str| figures[name].as_array().map_or(0, Vec::len);
    // All but one Worker get all payloads; the digest is computed of one. The order of fields matters to three.
    assert_eq!((rows("workers"), rows("orders"), rows("calls")), (5 * 8 + 1, 3, 2 * 3));
    assert!(figures["digest"]["us_a_megabyte"]["median"].is_number(), "{}", figures["digest"]);
    Ok(())
}

#[test]
fn the_edge_of_another_checkout_is_compared_in_one_order() -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("figures.json");
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench-edge"));
    bench.args(["--short", "--order", "descending", "--only", "edge-ingest", "--beside"]).arg(checkout());
    let run = bench.arg("--json").arg(&file).output()?;
    ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let figures: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let rows = |name: &str| figures[name].as_array().map_or(&[][..], Vec::as_slice);
    assert_eq!((rows("beside").len(), rows("orders").len()), (5, 0));
    assert!(rows("workers").iter().all(|row| row["order"] == "descending"));
    for row in rows("beside") {
        assert!(row["ratio_without_digest"]["median"].is_number(), "{row}");
    }
    Ok(())
}

#[test]
fn a_short_run_measures_both_stores() -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("figures.json");
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench-queue"));
    let run = bench.arg("--short").arg("--json").arg(&file).arg("--folder").arg(folder.path()).output()?;
    ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let figures: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    for store in 0..2 {
        for figure in ["enqueued", "acknowledged"] {
            assert_eq!(figures["stores"][store][figure]["per_second"].as_array().map(Vec::len), Some(1));
        }
    }
    Ok(())
}

#[test]
fn a_short_run_measures_every_table_and_asks_every_question() -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("figures.json");
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench-schema"));
    let run = bench.arg("--short").arg("--json").arg(&file).arg("--folder").arg(folder.path()).output()?;
    ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let figures: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    assert_eq!(figures["costs"].as_array().map(Vec::len), Some(ALL.len()));
    let questions = figures["questions"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert_eq!(questions.len(), 10);
    for question in questions {
        let [shipped, stock] = ["shipped", "stock"].map(|table| &question[table]);
        assert_eq!(shipped["ms"].as_array().map(Vec::len), Some(1), "{question}");
        assert_eq!(shipped["rows"], stock["rows"], "{question}");
        // Of a value that is nowhere an index may leave nothing to read; without it, or where there is none, rows are read.
        let without_index = &question["without_index"][1];
        let looked = if without_index.is_null() { shipped } else { without_index };
        assert!(looked["read_rows"].as_u64() > Some(0), "{question}");
    }
    // So few rows have no more than the trace for sure.
    for trace in &questions[..2] {
        assert_eq!(trace["shipped"]["rows"], 10, "{trace}");
    }
    Ok(())
}

#[test]
fn a_short_run_takes_spans_through_both_ways() -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("figures.json");
    let run = Command::new(env!("CARGO_BIN_EXE_bench-consumer"))
        .arg("--short")
        .arg("--json")
        .arg(&file)
        .output()?;
    ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let figures: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let rows = figures["figures"].as_array().cloned().unwrap_or_default();
    let of_both = rows.iter().filter(|row| {
        row["by_wire"].as_array().map(Vec::len) == Some(1)
            && row["by_prost"].as_array().map(Vec::len) == Some(1)
    });
    // Of each shape: gunzip, decoding, the insert, the whole consumer, and ClickHouse twice.
    assert_eq!(of_both.count(), 2 * 6);
    // Of realistic spans in descending order: the stages by the wire.
    assert_eq!(rows.iter().filter(|row| row["order"] == "descending").count(), 8);
    Ok(())
}

#[test]
fn a_short_run_scales_everything() -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("figures.json");
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench-consumer"));
    let run = bench.args(["--scaling", "--short", "--json"]).arg(&file).output()?;
    ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let figures: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let figures = figures["figures"].as_array().cloned().unwrap_or_default();
    let of = |aspect: &str| figures.iter().filter(|figure| figure["aspect"] == aspect).count();
    // No objects are made of more spans than there are.
    assert_eq!(["threads", "processes", "object_spans", "table_rows"].map(of), [2, 4, 3, 1]);
    for figure in &figures {
        assert!(figure["rounds"][0]["client"].as_f64() > Some(0.0), "{figure}");
    }
    Ok(())
}

#[test]
fn a_short_run_without_peers_compares_spillway_with_itself() -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("figures.json");
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench-peers"));
    for peer in ["ROTEL", "OTEL_ARROW", "OTELCOL", "VECTOR"] {
        bench.env_remove(peer);
    }
    let run = bench.args(["--short", "--json"]).arg(&file).output()?;
    let stderr = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.success(), "{stderr}");
    for peer in ["ROTEL=", "OTEL_ARROW=", "OTELCOL=", "VECTOR="] {
        assert!(stderr.contains(peer), "{stderr}");
    }
    let figures: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let figures = figures["figures"].as_array().cloned().unwrap_or_default();
    // Of each shape: into nothing, into its own table, into the peers' table. Of realistic spans in descending order: into nothing.
    assert_eq!(figures.len(), 2 * 3 + 1);
    for figure in figures.iter().filter(|figure| figure["kind"] == "merge_tree") {
        let rows = &figure["rounds"][0]["rows"];
        assert_eq!((&rows["rows"], rows["different"].as_array().map(Vec::len)), (&2_000.into(), Some(0)));
    }
    Ok(())
}

#[test]
fn a_short_run_goes_the_whole_way() -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("figures.json");
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench-e2e"));
    let run = bench.args(["--short", "--json"]).arg(&file).output()?;
    ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let figures: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let shapes = figures["figures"].as_array().cloned().unwrap_or_default();
    assert_eq!(shapes.len(), 2);
    for shape in &shapes {
        assert_eq!(shape["loaded"]["spans"], 1_000);
        assert!(shape["fresh"]["p99"].as_f64() > Some(0.0), "{shape}");
    }
    Ok(())
}
