//! The command line of `origin-consumer`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use origin_consumer::config::{Config, ConfigError};
use origin_consumer::dlq::{self, DlqArgs, DlqError};
use origin_consumer::doctor::{self, DoctorArgs, DoctorError};
use origin_consumer::engine::{self, EngineError, EngineOptions};
use origin_consumer::failpoints;
use origin_consumer::keys::{self, KeysArgs, KeysError};
use origin_consumer::meter::{self, MeterArgs, MeterError};
use origin_consumer::migrate::{self, MigrateError};
use origin_consumer::objects::Bucket;
use origin_consumer::rebuild::{RebuildArgs, RebuildError, rebuild};
use origin_consumer::replay::{ReplayArgs, ReplayError, replay};
use origin_consumer::serve::{Parts, ServeError, open_queue_of_service, serve};
use origin_consumer::shutdown;
use origin_consumer::tls;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: origin_consumer::Allocator = origin_consumer::ALLOCATOR;

/// Takes signed notifications, and brings the objects that they name into ClickHouse, every span once.
#[derive(Parser)]
#[command(version, about, after_help = CONFIGURATION)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How the log is written.
    #[arg(long, global = true, value_enum, default_value = "text", env = "SPILLWAY_LOG_FORMAT")]
    log_format: LogFormat,
    /// End, as on SIGTERM, when standard input closes: for supervisors that hold the other end of a pipe.
    #[arg(long, global = true)]
    exit_on_stdin_eof: bool,
}

const CONFIGURATION: &str = "\
Configuration: a TOML file (--config), and over it the environment, where SPILLWAY_CLICKHOUSE__URL is `url` of
[clickhouse]. Required: notify.signing_keys (serve), s3.endpoint, s3.access_key_id, s3.secret_access_key and
clickhouse.url; with queue_pull.queue_id also cloudflare.account_id and queue_pull.api_token. For `keys`, see its own
help. deploy/spillway.example.toml lists all fields. The log's level is set by RUST_LOG (default: info; of replay: warn).

Exit codes: 0 ended as asked, 1 failed, 2 the command line or the configuration is wrong.";

#[derive(Subcommand)]
enum Command {
    /// Run the origin and the consumer
    Serve {
        #[command(flatten)]
        config: ConfigFile,
        /// Run the origin only; `consume` is run elsewhere on this machine
        #[arg(long)]
        without_consumer: bool,
        /// Do not bring the database to this version's schema first
        #[arg(long)]
        no_migrate: bool,
    },
    /// Run the consumer only, on the queue of an origin of this machine
    Consume {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Bring the database to this version's schema
    Migrate {
        #[command(flatten)]
        config: ConfigFile,
    },
    Keys(KeysArgs),
    Meter {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        arguments: MeterArgs,
    },
    Dlq {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        arguments: DlqArgs,
    },
    Doctor {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        arguments: DoctorArgs,
    },
    Replay(ReplayArgs),
    RebuildTable(RebuildArgs),
    /// Serve the embedded ClickHouse engine on loopback, for development and tests
    Clickhouse {
        /// The data folder
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The port of the HTTP interface
        #[arg(long, value_name = "N")]
        http_port: u16,
        /// The port of the native interface
        #[arg(long, value_name = "M")]
        native_port: Option<u16>,
        /// The database to make
        #[arg(long, default_value = "spillway", value_parser = database_name)]
        database: String,
        /// The engine's library, libchdb.so
        #[arg(long, value_name = "FILE", env = "SPILLWAY_CHDB_LIBRARY")]
        library: PathBuf,
        /// Make the database and end
        #[arg(long, hide = true)]
        create_only: bool,
    },
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(long = "config", value_name = "FILE", env = "SPILLWAY_CONFIG")]
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum LogFormat {
    /// Lines for people
    Text,
    /// A JSON object a line
    Json,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("cannot migrate {url}: {source}")]
    Migrate { url: String, source: MigrateError },
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Dlq(#[from] DlqError),
    #[error(transparent)]
    Doctor(#[from] DoctorError),
    #[error(transparent)]
    Meter(#[from] MeterError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::from(2),
            Self::Keys(error) => ExitCode::from(error.exit_code()),
            Self::Dlq(error) => ExitCode::from(error.exit_code()),
            Self::Replay(error) => ExitCode::from(error.exit_code()),
            Self::Rebuild(error) => ExitCode::from(error.exit_code()),
            Self::Serve(error) => ExitCode::from(error.exit_code()),
            Self::Doctor(_) | Self::Meter(_) | Self::Migrate { .. } | Self::Engine(_) | Self::Start(_) => {
                ExitCode::FAILURE
            }
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    failpoints::read_environment();
    // These say themselves how far they are; a line a batch would hide that.
    let is_told =
        matches!(cli.command, Command::Replay(_) | Command::RebuildTable(_) | Command::Doctor { .. });
    let level = if is_told { "warn" } else { "info" };
    start_log(cli.log_format, level);
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            match &failure {
                Failure::Keys(error) => keys::report(error),
                _ => tracing::error!("{failure}"),
            }
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Clickhouse { data, http_port, native_port, database, library, create_only } => {
            let exit_on_stdin_eof = cli.exit_on_stdin_eof;
            let options = EngineOptions {
                library,
                data,
                http_port,
                native_port,
                database,
                create_only,
                exit_on_stdin_eof,
            };
            engine::run(&options)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Serve { config, without_consumer, no_migrate } => {
            let config = Config::load(config.file.as_deref())?;
            config.check_origin()?;
            config.check_consumer()?;
            let parts = Parts { origin: true, consumer: !without_consumer, migrate: !no_migrate };
            in_runtime(run_services(&config, parts, cli.exit_on_stdin_eof))
        }
        Command::Consume { config } => {
            let config = Config::load(config.file.as_deref())?;
            config.check_consumer()?;
            let parts = Parts { origin: false, consumer: true, migrate: false };
            in_runtime(run_services(&config, parts, cli.exit_on_stdin_eof))
        }
        Command::Migrate { config } => {
            let config = Config::load(config.file.as_deref())?;
            config.check_clickhouse()?;
            in_runtime(migrate_now(&config))
        }
        Command::Meter { config, arguments } => {
            let config = Config::load(config.file.as_deref())?;
            config.check_ledger()?;
            in_runtime(show_meter(&config, &arguments))
        }
        Command::Dlq { config, arguments } => {
            let config = Config::load(config.file.as_deref())?;
            config.check_ledger()?;
            if arguments.wants_bucket() {
                config.check_bucket()?;
            }
            tls::choose_provider();
            in_runtime(async {
                let queue = open_queue_of_service(&config.queue).await?;
                dlq::run(arguments, &queue, &Bucket::new(&config.s3)).await?;
                Ok(ExitCode::SUCCESS)
            })
        }
        Command::Doctor { config, arguments } => {
            let config = Config::load(config.file.as_deref())?;
            tls::choose_provider();
            in_runtime(async { Ok(ExitCode::from(doctor::run(&config, &arguments).await?)) })
        }
        Command::Replay(arguments) => {
            let config = Config::load(arguments.file.as_deref())?;
            tls::choose_provider();
            in_runtime(async {
                let stop = shutdown::requested(cli.exit_on_stdin_eof)?;
                Ok(ExitCode::from(replay(&arguments, &config, stop).await?))
            })
        }
        Command::RebuildTable(arguments) => {
            let config = Config::load(arguments.file.as_deref())?;
            config.check_clickhouse()?;
            if !arguments.no_consumers && !arguments.dry_run {
                config.check_ledger()?;
            }
            in_runtime(async {
                let stop = shutdown::requested(cli.exit_on_stdin_eof)?;
                Ok(ExitCode::from(rebuild(&arguments, &config, stop).await?))
            })
        }
        Command::Keys(arguments) => {
            tls::choose_provider();
            in_runtime(async { Ok(keys::run(arguments).await.map(|()| ExitCode::SUCCESS)?) })
        }
    }
}

fn in_runtime(work: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

async fn run_services(config: &Config, parts: Parts, exit_on_stdin_eof: bool) -> Result<ExitCode, Failure> {
    tls::choose_provider();
    let stop = shutdown::requested(exit_on_stdin_eof)?;
    serve(config, parts, stop).await?;
    tracing::info!("ended as asked");
    Ok(ExitCode::SUCCESS)
}

async fn migrate_now(config: &Config) -> Result<ExitCode, Failure> {
    let url = config.clickhouse.url.clone();
    let applied =
        migrate::migrate(&config.clickhouse).await.map_err(|source| Failure::Migrate { url, source })?;
    tracing::info!(?applied, database = config.clickhouse.database, "the schema is up to date");
    Ok(ExitCode::SUCCESS)
}

async fn show_meter(config: &Config, arguments: &MeterArgs) -> Result<ExitCode, Failure> {
    let queue = open_queue_of_service(&config.queue).await?;
    Ok(ExitCode::from(meter::run(&queue, config.sweep.grace(), arguments).await?))
}

fn start_log(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let log = log.with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

fn database_name(name: &str) -> Result<String, String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !name.is_empty() && name.bytes().all(legal) {
        Ok(name.to_owned())
    } else {
        Err("letters, digits and underscores make a name".to_owned())
    }
}
