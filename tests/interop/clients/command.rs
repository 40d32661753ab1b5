//! How each exporter is run.

use anyhow::{Result, ensure};
use local_stack::tools::{checkout, exported};
use tokio::process::Command;

use super::{Client, Destination, Order};

/// How many attributes carry the padding of `telemetrygen`: an argument of a command line is no longer than 128 KiB.
const TELEMETRYGEN_PADDINGS: usize = 12;

impl Client {
    /// The command that makes and sends what `order` says. Variables of OpenTelemetry are not set yet.
    pub(super) fn command(self, order: &Order, to: &Destination<'_>) -> Result<Command> {
        let order_json = serde_json::to_string(order)?;
        let programs = checkout().join("tests/interop");
        let run = |interpreter: std::path::PathBuf, program: &str, arguments: &[&str]| {
            let mut command = Command::new(interpreter);
            command.arg(programs.join(program)).args(arguments).arg(&order_json);
            command
        };
        let program = |program: std::path::PathBuf| {
            let mut command = Command::new(program);
            command.arg(&order_json);
            command
        };
        let node = || exported("SPILLWAY_NODE");
        Ok(match self {
            Self::Python | Self::Python130 => run(self.tool()?, "python/export.py", &[]),
            Self::Logfire => run(self.tool()?, "python/logfire_export.py", &[]),
            Self::NodeJson => run(node()?, "node/export.mjs", &["http"]),
            Self::NodeProtobuf => run(node()?, "node/export.mjs", &["proto"]),
            Self::Bun => run(self.tool()?, "node/export.mjs", &["proto"]),
            Self::Deno => {
                let mut command = Command::new(self.tool()?);
                command.args(["run", "--allow-all", "--no-prompt", "--no-lock", "--quiet"]);
                command.arg(programs.join("deno/export.mjs")).arg(&order_json);
                // Its exporter cannot be told to flush: batches are parted by time.
                command.env("OTEL_DENO", "true").env("OTEL_BSP_SCHEDULE_DELAY", "100");
                command
            }
            Self::Vercel => run(node()?, "vercel/export.mjs", &[]),
            Self::Worker => run(node()?, "worker/run.mjs", &[]),
            Self::Page => run(node()?, "browser/run.mjs", &["fetch"]),
            Self::Beacon => run(node()?, "browser/run.mjs", &["beacon"]),
            Self::Rust => program(env!("CARGO_BIN_EXE_interop-rust").into()),
            Self::Fastrace => program(env!("CARGO_BIN_EXE_interop-fastrace").into()),
            Self::JavaJdk | Self::JavaOkHttp | Self::JavaAgent => {
                let sender = match self {
                    Self::JavaJdk => "jdk",
                    Self::JavaOkHttp => "okhttp",
                    _ => "agent",
                };
                run("sh".into(), "java/run.sh", &[sender])
            }
            Self::Go | Self::Collector | Self::OldCollector => program(self.tool()?),
            Self::Telemetrygen => {
                let mut command = Command::new(self.tool()?);
                command.args(telemetrygen_arguments(order, to)?);
                command
            }
        })
    }
}

fn telemetrygen_arguments(order: &Order, to: &Destination<'_>) -> Result<Vec<String>> {
    ensure!(order.ahead_days == 0, "telemetrygen has no option for the time of its spans");
    let address = to.endpoint.trim_start_matches("http://");
    let mut arguments: Vec<String> = ["traces", "--otlp-insecure", "--rate=0"].map(str::to_owned).to_vec();
    if !to.grpc {
        arguments.push("--otlp-http".to_owned());
    }
    arguments.extend([
        format!("--otlp-endpoint={address}"),
        format!("--otlp-header=x-api-key=\"{}\"", to.key),
        format!("--service={}", to.service),
        format!("--traces={}", order.batches),
        format!("--batch-size={}", Client::Telemetrygen.spans()),
    ]);
    if order.padding > 0 {
        let padding = "x".repeat(order.padding / TELEMETRYGEN_PADDINGS);
        arguments.extend(
            (0..TELEMETRYGEN_PADDINGS).map(|n| format!("--telemetry-attributes=padding{n}=\"{padding}\"")),
        );
    }
    Ok(arguments)
}
