//! `make run`: the whole system on this machine, and one trace through it.

use std::fs::{self, File};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use local_stack::command::run_to_end;
use local_stack::edge::write_secret;
use local_stack::engine::Source;
use local_stack::keys::{Key, random_key};
use local_stack::stack::{BUCKET, OPERATOR, Stack, StackOptions};
use local_stack::tools::{binary, checkout};
use local_stack::{demo, trace_tree};
use serde_json::json;
use spillway_proto::api_key::ApiKey;
use tokio::signal::unix::{SignalKind, signal};

/// The port of OTLP/HTTP, which exporters try without being told.
const OTLP_PORT: u16 = 4318;
/// The time that the trace may take.
const TRACE_TIMEOUT: Duration = Duration::from_secs(60);
/// The time that the spans about its way may take after it; they are for show.
const HOPS_TIMEOUT: Duration = Duration::from_secs(10);
/// The hops that Spillway reports for an object: ingest with its auth, allowance, read, validate, store and notify; enqueue; consume
/// with its fetch, decode and insert.
const HOPS: usize = 12;

/// Starts Spillway on this machine, and sends one trace through it.
#[derive(Parser)]
struct Cli {
    /// End after the trace; fail if it did not arrive within 60 s
    #[arg(long)]
    once: bool,
    /// Where the stack's data, logs and addresses go
    #[arg(long, value_name = "DIR", default_value_os_t = checkout().join(".run"))]
    folder: PathBuf,
}

fn main() -> ExitCode {
    run_to_end("run", run(&Cli::parse()))
}

async fn run(cli: &Cli) -> Result<()> {
    fs::create_dir_all(&cli.folder)?;
    let folder = cli.folder.canonicalize()?;
    let _lock = lock(&folder)?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let env_file = folder.join("env");
    let _ = fs::remove_file(&env_file);

    let stopped = async {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
    tokio::pin!(stopped);
    let key = development_key(&folder)?;
    let mut stack = tokio::select! {
        stack = start(&folder, &key) => stack?,
        () = &mut stopped => return interrupted(cli),
    };
    write_env(&env_file, &stack, &key)?;
    let shown = tokio::select! {
        shown = show_a_trace(&stack, &key) => shown,
        () = &mut stopped => {
            stack.stop().await?;
            return interrupted(cli);
        }
    };
    if cli.once || shown.is_err() {
        let _ = fs::remove_file(&env_file);
        stack.stop().await?;
        return shown;
    }
    print_how_to(&stack, &key, &env_file);
    let ended = tokio::select! {
        () = &mut stopped => Ok(()),
        error = watch(&mut stack) => Err(error),
    };
    eprintln!("run: stopping");
    let _ = fs::remove_file(&env_file);
    stack.stop().await?;
    ended
}

/// To be stopped is how a run ends well, unless it was to end after its trace.
fn interrupted(cli: &Cli) -> Result<()> {
    if cli.once { bail!("interrupted before the trace arrived") } else { Ok(()) }
}

/// Two stacks on the same data would destroy it.
fn lock(folder: &Path) -> Result<File> {
    let lock = File::options().create(true).append(true).open(folder.join("lock"))?;
    if lock.try_lock().is_err() {
        bail!("another `make run` works in {}; end it first", folder.display());
    }
    Ok(lock)
}

/// The key of the development tenant: made once, so that exporters can stay configured.
fn development_key(folder: &Path) -> Result<Key> {
    let file = folder.join("key");
    let kept = fs::read_to_string(&file).ok().and_then(|text| ApiKey::presented(text.trim()).ok());
    let secret = match kept {
        Some(secret) => secret,
        None => {
            let secret = random_key()?;
            write_secret(&file, secret.expose().as_bytes())?;
            secret
        }
    };
    let generous = json!({ "limits": { "requests": { "per_second": 10_000 } } });
    Key::with_secret("dev", secret, &generous)
}

async fn start(folder: &Path, key: &Key) -> Result<Stack> {
    Stack::start(StackOptions {
        folder: folder.join("data"),
        source: Source::from_environment(),
        database: "spillway".to_owned(),
        keys: vec![key.clone()],
        operator_key: Some(Key::new(OPERATOR, &json!({}))?),
        edge_port: Some(OTLP_PORT),
        notification_queue: None,
        engine_vars: Default::default(),
        edge_vars: Default::default(),
        edge_services: Default::default(),
        edge_outbound: None,
        origin_vars: Default::default(),
        origin_arguments: Vec::new(),
        verbose: true,
    })
    .await
}

async fn show_a_trace(stack: &Stack, key: &Key) -> Result<()> {
    eprintln!("run: sending a trace with the crate opentelemetry-otlp");
    let (ingress, secret) = (stack.edge.url.clone(), key.secret.expose().to_owned());
    let began = Instant::now();
    let trace_id = tokio::task::spawn_blocking(move || demo::send(&ingress, &secret)).await??;
    let sent = began.elapsed();
    let spans =
        format!("SELECT count() FROM otel_traces WHERE TraceId = '{trace_id}' AND ServiceName = 'demo-shop'");
    let left = TRACE_TIMEOUT.saturating_sub(sent);
    stack.await_count(&spans, demo::SPANS, left).await.context("the trace did not arrive")?;
    eprintln!("run: exported in {sent:.1?}, in ClickHouse after {:.1?}", began.elapsed());

    let deadline = Instant::now() + HOPS_TIMEOUT;
    let expected = demo::SPANS as usize + HOPS;
    let mut spans = trace_tree::spans_of(&stack.clickhouse(), &trace_id).await?;
    while spans.len() < expected && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
        spans = trace_tree::spans_of(&stack.clickhouse(), &trace_id).await?;
    }
    if spans.len() < expected {
        eprintln!("run: the spans about its way are still under way, the tree shows what is there");
    }
    print(&format!("\ntrace {trace_id}\n{}\n", trace_tree::render(&spans)))
}

fn print_how_to(stack: &Stack, key: &Key, env_file: &Path) {
    let color = std::io::stdout().is_terminal();
    let (bold, plain) = if color { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    let text = format!(
        "{bold}Point an exporter at it:{plain}
    export OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}
    export OTEL_EXPORTER_OTLP_HEADERS=x-api-key={key}
    export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
    export OTEL_METRICS_EXPORTER=none
    export OTEL_LOGS_EXPORTER=none
{bold}Ask for its spans:{plain}
    curl '{clickhouse}' --data 'SELECT Timestamp, ServiceName, SpanName, Duration FROM {database}.otel_traces ORDER BY Timestamp DESC LIMIT 10'
{bold}Make another key:{plain}
    . {env}; {binary} keys create --tenant dev
{bold}Everything else:{plain}
    . {env}
Ctrl-C ends it; the data stays.
",
        endpoint = stack.edge.url,
        key = key.secret.expose(),
        clickhouse = stack.engine.url,
        database = stack.engine.database,
        env = env_file.display(),
        binary = binary("origin-consumer").unwrap_or_default().display(),
    );
    let _ = print(&text);
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// The addresses and keys of the running stack, as shell exports.
fn write_env(file: &Path, stack: &Stack, key: &Key) -> Result<()> {
    let (headers, s3_endpoint) = (format!("x-api-key={}", key.secret.expose()), stack.edge.s3_endpoint());
    let mut exports = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", stack.edge.url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", &headers),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        // Agents send both without being asked to, and log an error for each batch that is refused.
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_LOGS_EXPORTER", "none"),
        ("SPILLWAY_INGRESS_URL", &stack.edge.url),
        ("SPILLWAY_API_KEY", key.secret.expose()),
        ("SPILLWAY_ORIGIN_URL", &stack.origin.url),
        ("SPILLWAY_S3_ENDPOINT", &s3_endpoint),
        ("SPILLWAY_S3_BUCKET", BUCKET),
        ("SPILLWAY_S3_ACCESS_KEY_ID", &stack.s3.access_key_id),
        ("SPILLWAY_S3_SECRET_ACCESS_KEY", &stack.s3.secret_access_key),
        ("CLICKHOUSE_URL", &stack.engine.url),
        ("CLICKHOUSE_DATABASE", &stack.engine.database),
    ];
    if stack.engine.is_ours() {
        // Tells the next `make run` of the same shell that this is not a server to build on.
        exports.push(("SPILLWAY_RUN_CLICKHOUSE_URL", &stack.engine.url));
    } else {
        exports.extend([
            ("CLICKHOUSE_USER", stack.engine.user.as_str()),
            ("CLICKHOUSE_PASSWORD", &stack.engine.password),
        ]);
    }
    // So that the commands of `origin-consumer` work on this stack: keys, meter, dlq, replay.
    let variables = stack.origin_variables();
    exports.extend(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let lines: String = exports.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    write_secret(file, lines.as_bytes())
}

/// Starts the origin again when it has ended, as a service manager does. Returns when another part ends by itself.
async fn watch(stack: &mut Stack) -> anyhow::Error {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        if let Ok(Some(status)) = stack.origin.process.ended() {
            eprintln!("run: the origin ended by itself ({status}); starting it again");
            if let Err(error) = stack.restart_origin(&[]).await {
                return error;
            }
        }
        let parts = [Some(&mut stack.edge.process), stack.engine.process()];
        for part in parts.into_iter().flatten() {
            match part.ended() {
                Ok(None) => {}
                Ok(Some(status)) => return anyhow::anyhow!("{}", part.obituary(status)),
                Err(error) => return error,
            }
        }
    }
}
