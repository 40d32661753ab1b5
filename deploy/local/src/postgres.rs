//! PostgreSQL, of the binaries that `setup.sh` found or installed.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, geteuid};
use tokio_postgres::{Client, NoTls};

use crate::keys::random_secret;
use crate::ports::free_port;
use crate::process::Process;
use crate::tools::exported;

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const USER: &str = "spillway";
const DATABASE: &str = "spillway";
/// The user `nobody` and its group: root may not run PostgreSQL.
const NOBODY: u32 = 65534;

/// A running PostgreSQL, on loopback only. It writes as durably as by default (`fsync`).
pub struct Postgres {
    binaries: PathBuf,
    folder: PathBuf,
    port: u16,
    password: String,
    process: Process,
}

impl Postgres {
    /// Starts PostgreSQL with its data in `folder`, which may hold those of an earlier one, and makes the database
    /// `spillway` if there is none.
    pub async fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        let binaries = exported("SPILLWAY_POSTGRES_BIN")?;
        let password = prepare_data(&binaries, &folder).await?;
        let port = free_port()?;
        let process = start_process(&binaries, &folder, port).await?;
        let postgres = Self { binaries, folder, port, password, process };
        postgres.make_own_database().await?;
        Ok(postgres)
    }

    /// Starts it again, after it was stopped or killed, on the same data and port.
    pub async fn restart(&mut self) -> Result<()> {
        self.process = start_process(&self.binaries, &self.folder, self.port).await?;
        Ok(())
    }

    /// The URL of the database `spillway`, with user and password.
    pub fn url(&self) -> String {
        url(self.port, &self.password, DATABASE)
    }

    /// Makes a further database; the answer is its URL.
    pub async fn create_database(&self, name: &str) -> Result<String> {
        let create = format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""));
        let created = self.client().await?.batch_execute(&create).await;
        created.with_context(|| format!("the database {name} could not be made"))?;
        Ok(url(self.port, &self.password, name))
    }

    /// A new connection to the database `spillway`.
    pub async fn client(&self) -> Result<Client> {
        Self::connect(&self.url()).await
    }

    /// A new connection to a URL.
    pub async fn connect(url: &str) -> Result<Client> {
        let (client, connection) =
            tokio_postgres::connect(url, NoTls).await.context("PostgreSQL does not answer")?;
        // Its error is also that of the query that meets it.
        tokio::spawn(connection);
        Ok(client)
    }

    /// The process: the postmaster, and with it all of its backends.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    async fn make_own_database(&self) -> Result<()> {
        let client = Self::connect(&url(self.port, &self.password, "postgres")).await?;
        let known = client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&DATABASE]).await?;
        if known.is_none() {
            client.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await?;
        }
        Ok(())
    }
}

fn url(port: u16, password: &str, database: &str) -> String {
    format!("postgres://{USER}:{password}@127.0.0.1:{port}/{database}")
}

fn data_of(folder: &Path) -> PathBuf {
    folder.join("postgres")
}

/// Makes the data, where there are none; the answer is the password.
async fn prepare_data(binaries: &Path, folder: &Path) -> Result<String> {
    let password_file = folder.join("postgres-password");
    let data = data_of(folder);
    if data.exists() {
        return fs::read_to_string(&password_file)
            .with_context(|| format!("{} has no {}", data.display(), password_file.display()));
    }
    let password = random_secret()?;
    let mut file =
        File::options().create(true).write(true).truncate(true).mode(0o600).open(&password_file)?;
    file.write_all(password.as_bytes())?;
    // The final name is for what is whole: initdb may be killed.
    let draft = folder.join("postgres.partial");
    if draft.exists() {
        fs::remove_dir_all(&draft)?;
    }
    fs::create_dir(&draft)?;
    if geteuid().is_root() {
        chown(&draft, Some(NOBODY), Some(NOBODY))
            .with_context(|| format!("cannot give away {}", draft.display()))?;
    }
    init(binaries, &draft, &password_file).await?;
    fs::rename(&draft, &data)?;
    Ok(password)
}

async fn init(binaries: &Path, data: &Path, password_file: &Path) -> Result<()> {
    let mut command = unprivileged(&binaries.join("initdb"));
    command.arg("--pgdata").arg(data).arg("--pwfile").arg(password_file).args(["--username", USER]);
    command
        .args(["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"])
        .env("LC_ALL", "C");
    let output = tokio::process::Command::from(command).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("cannot start initdb of {}", binaries.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "initdb failed ({})\n{}", output.status, said.trim_end());
    Ok(())
}

/// Becomes the server (`$@`). It does not look at its standard input, so a shell in the same group does, which no signal
/// but SIGKILL ends. That one is not the server's child: a server takes the end of any child for a crash.
const SERVE: &str = r#"
    exec 3<&0
    (trap '' HUP INT QUIT TERM; (cat <&3 >/dev/null; kill -QUIT $$) &)
    exec "$@" </dev/null 3<&-
"#;

async fn start_process(binaries: &Path, folder: &Path, port: u16) -> Result<Process> {
    let data = data_of(folder);
    let server = unprivileged(&binaries.join("postgres"));
    let mut command = Command::new("sh");
    command.args(["-c", SERVE, "sh"]).arg(server.get_program()).args(server.get_args());
    command.arg("-D").arg(&data).arg("-p").arg(port.to_string());
    command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]).env("LC_ALL", "C");
    // After a kill it syncs what it finds: by default file by file, which takes seconds.
    command.args(["-c", "recovery_init_sync_method=syncfs"]);
    // SIGTERM would wait until all clients have gone.
    let mut process = Process::start("postgres", command, folder)?.stopped_by(Signal::INT);
    let id = process.id();
    process.ready(READY_TIMEOUT, async || is_ready(&data, id)).await?;
    Ok(process)
}

/// Whether the server says so in its lock file, whose first line is its id and whose last one is its state. Not asked by
/// connections: each that comes too early is an error in the log.
fn is_ready(data: &Path, id: u32) -> bool {
    let lock = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let mut lines = lock.lines().map(str::trim);
    lines.next() == Some(&id.to_string()) && lines.next_back() == Some("ready")
}

/// A command that runs a program as `nobody`, if this is root. The one capability that it keeps is to reach the program
/// and the data through folders that are root's alone; initdb asks access(2), which heeds it only with that secure bit.
fn unprivileged(program: &Path) -> Command {
    if !geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={NOBODY}")).arg("--clear-groups");
    command.args(["--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"]);
    command.arg("--securebits=+no_setuid_fixup").arg(program);
    command
}
