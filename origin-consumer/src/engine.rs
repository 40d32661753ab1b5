//! The embedded ClickHouse: the whole engine, out of `libchdb.so`, behind its real HTTP and native interfaces.
//!
//! The library's entry point runs `clickhouse-local`, which can open the server's listeners. It serves as long as its
//! last query runs; so the last query is one that sleeps, and the engine ends cleanly when that query is killed. This
//! is the one module of the project with unsafe code, which is what loading a foreign library takes.
#![expect(unsafe_code, reason = "the engine is a foreign library")]

use std::ffi::{CString, c_char, c_int, c_void};
use std::fs::{self, File};
use std::mem::ManuallyDrop;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clickhouse::Client;
use libloading::{Library, Symbol};
use tokio_util::sync::CancellationToken;

use crate::shutdown;

/// The name by which the sleeping query is found and killed.
const LIFETIME: &str = "spillway_engine_lifetime";
/// How long another engine may take to leave the data folder.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the engine may take to end by itself. It waits longer for clients that keep idle connections open, and then
/// calls that a failure; so the process ends before that. What the engine has confirmed is on disk.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// `libchdb.so`.
    pub library: PathBuf,
    /// The data folder; it is made where it is missing.
    pub data: PathBuf,
    /// The port of the HTTP interface, on loopback.
    pub http_port: u16,
    /// The port of the native interface, on loopback.
    pub native_port: Option<u16>,
    /// The database that is made, of the engine Atomic.
    pub database: String,
    /// Make the database, and serve nothing.
    pub create_only: bool,
    /// Whether to end when standard input closes.
    pub exit_on_stdin_eof: bool,
}

/// The engine could not be started, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The library.
    #[error("cannot load the engine from {path}: {source}")]
    Library {
        /// Its path.
        path: String,
        /// Why.
        source: libloading::Error,
    },
    /// The data folder.
    #[error("cannot use the data folder {path}: {source}")]
    Data {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Two engines on one folder would destroy it.
    #[error("the data folder {0} is in use by another engine")]
    InUse(String),
    /// An argument holds a zero byte.
    #[error("an argument holds a zero byte")]
    ZeroByte(#[from] std::ffi::NulError),
    /// A signal handler, a thread or a child process.
    #[error("cannot set up the engine's process: {0}")]
    Process(#[source] std::io::Error),
    /// Nobody asked it to; what it said is above.
    #[error("the engine ended by itself")]
    Ended,
}

/// Serves until SIGTERM or SIGINT. Never returns while the engine runs.
pub fn run(options: &EngineOptions) -> Result<(), EngineError> {
    wait_for_folder(&options.data)?;
    if options.create_only {
        return run_command_line(&options.library, &creation(options));
    }
    // A database must be there before it can be the one that clients begin in, and the engine runs once a process.
    if !options.data.join("metadata").join(format!("{}.sql", options.database)).exists() {
        create_in_child()?;
    }
    let stopping = CancellationToken::new();
    stop_on_request(options, stopping.clone()).map_err(EngineError::Process)?;
    run_command_line(&options.library, &service(options))?;
    if stopping.is_cancelled() { Ok(()) } else { Err(EngineError::Ended) }
}

/// Runs this very command line once more, to make the database only.
fn create_in_child() -> Result<(), EngineError> {
    let this = std::env::current_exe().map_err(EngineError::Process)?;
    let mut child = Command::new(this);
    child.args(std::env::args_os().skip(1)).arg("--create-only").stdin(Stdio::null());
    let status = child.status().map_err(EngineError::Process)?;
    if status.success() { Ok(()) } else { Err(EngineError::Ended) }
}

fn creation(options: &EngineOptions) -> Vec<String> {
    let mut arguments = on_data(options);
    let create = format!("CREATE DATABASE IF NOT EXISTS {} ENGINE = Atomic", options.database);
    arguments.extend(["--query".to_owned(), create]);
    arguments
}

fn service(options: &EngineOptions) -> Vec<String> {
    let mut arguments = on_data(options);
    arguments.extend([
        "--database".to_owned(),
        options.database.clone(),
        "--listen_host".to_owned(),
        Ipv4Addr::LOCALHOST.to_string(),
        "--http_port".to_owned(),
        options.http_port.to_string(),
    ]);
    let mut queries = vec!["SYSTEM START LISTEN HTTP".to_owned()];
    if let Some(port) = options.native_port {
        arguments.extend(["--tcp_port".to_owned(), port.to_string()]);
        queries.push("SYSTEM START LISTEN TCP".to_owned());
    }
    // Blocks of one row, since a block's sleep is bounded: this lasts for years.
    queries.push(format!(
        "SELECT sum(sleepEachRow(3)) AS {LIFETIME} FROM numbers(1000000000) SETTINGS max_block_size = 1,
         max_threads = 1, function_sleep_max_microseconds_per_block = 1000000000000, max_execution_time = 0"
    ));
    arguments.extend(["--query".to_owned(), queries.join("; ")]);
    arguments
}

fn on_data(options: &EngineOptions) -> Vec<String> {
    vec!["clickhouse".to_owned(), "--path".to_owned(), options.data.display().to_string()]
}

/// An engine that was killed holds its folder a little longer than its life.
fn wait_for_folder(data: &Path) -> Result<(), EngineError> {
    let path = || data.display().to_string();
    let failed = |source| EngineError::Data { path: path(), source };
    fs::create_dir_all(data).map_err(failed)?;
    let status = File::options().create(true).append(true).open(data.join("status")).map_err(failed)?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match status.try_lock() {
            // Given back at once: the engine takes the same lock.
            Ok(()) => return status.unlock().map_err(failed),
            Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(fs::TryLockError::WouldBlock) => return Err(EngineError::InUse(path())),
            Err(fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}

/// Waits, in a thread of its own, for the request to end, and then kills the query that keeps the engine alive.
fn stop_on_request(options: &EngineOptions, stopping: CancellationToken) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let requested = {
        let _guard = runtime.enter();
        shutdown::requested(options.exit_on_stdin_eof)?
    };
    let client = Client::default().with_url(format!("http://{}:{}", Ipv4Addr::LOCALHOST, options.http_port));
    std::thread::Builder::new().name("engine-stop".to_owned()).spawn(move || {
        runtime.block_on(async {
            requested.cancelled().await;
            stopping.cancel();
            let kill = format!("KILL QUERY WHERE query LIKE '%{LIFETIME}%' AND query_id != queryID() ASYNC");
            let deadline = Instant::now() + STOP_TIMEOUT;
            while Instant::now() < deadline {
                // Asked again until the process is gone: the engine may not listen yet.
                let _ = tokio::time::timeout(STOP_TIMEOUT, client.query_raw(&kill).execute()).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            // SAFETY: ends the process at once, without the destructors that the engine's threads would run into.
            unsafe { _exit(0) };
        });
    })?;
    Ok(())
}

unsafe extern "C" {
    /// <https://pubs.opengroup.org/onlinepubs/9799919799/functions/_exit.html>
    fn _exit(status: c_int) -> !;
}

/// The type is that of chdb.h: `struct local_result * chdb_query_cmdline(int argc, char ** argv)`.
type CommandLine = unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut c_void;

/// Runs the engine's command line in this process, until it ends.
fn run_command_line(path: &Path, arguments: &[String]) -> Result<(), EngineError> {
    let failed = |source| EngineError::Library { path: path.display().to_string(), source };
    let arguments: Vec<CString> =
        arguments.iter().map(|argument| CString::new(argument.as_str())).collect::<Result<_, _>>()?;
    let mut pointers: Vec<*mut c_char> =
        arguments.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
    // There are about a dozen; a count that does not fit would end the call with nothing done.
    let count = c_int::try_from(pointers.len()).unwrap_or(0);
    pointers.push(std::ptr::null_mut());
    // SAFETY: loading runs the library's initialisers, which are those of the ClickHouse engine and expect nothing.
    let library = unsafe { Library::new(path) }.map_err(failed)?;
    // Never unloaded: that would run destructors under threads that the engine leaves behind.
    let library = ManuallyDrop::new(library);
    // SAFETY: the name and the type are those of the library's header.
    let command_line: Symbol<'_, CommandLine> =
        unsafe { library.get(b"chdb_query_cmdline\0") }.map_err(failed)?;
    // SAFETY: `pointers` holds `count` pointers to strings that end in zero, and a null after them, and all of it lives
    // until the call returns. The result is leaked, once in the life of the process.
    unsafe { command_line(count, pointers.as_mut_ptr()) };
    Ok(())
}
