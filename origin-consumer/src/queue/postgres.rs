//! PostgreSQL: a store that several machines share.

use std::collections::HashMap;
use std::time::Duration;

use bytes::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type};
use postgres::{Client, Config, IsolationLevel, Statement, Transaction};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::QueueError;
use super::executor::Connection;
use super::session::{Row, Session, Value};

/// Tries of a transaction that the server has broken off for the sake of another.
const TRIES: u32 = 5;
/// Statements that are kept prepared. Those with lists differ by the lists' lengths.
const STATEMENTS: usize = 256;
/// How long to wait for a connection, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a server that has gone without a word is waited for, unless the URL says otherwise.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
/// What the server does about a session that it hears nothing of, and about a statement that waits for its locks.
const SESSION_LIMITS: &str = "SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '30s';
                              SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3";
/// The advisory lock of those who look whether the tables are there: "spillway" in ASCII.
const MAKING_TABLES: i64 = 0x7370_696c_6c77_6179;

pub(super) struct Postgres {
    config: Config,
    tls: MakeRustlsConnect,
    open: Option<Open>,
}

struct Open {
    client: Client,
    statements: HashMap<String, Statement>,
}

impl Postgres {
    /// Connects when it is first used, and again when the connection was lost.
    pub(super) fn new(url: &str) -> Result<Self, QueueError> {
        let mut config: Config = url.parse().map_err(|_| QueueError::Url)?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE_TIMEOUT);
        }
        config.keepalives_idle(SILENCE_TIMEOUT);
        config.application_name("spillway");
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| QueueError::Store(format!("tls: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config, tls: MakeRustlsConnect::new(tls), open: None })
    }

    fn open(&mut self) -> Result<&mut Open, QueueError> {
        match &mut self.open {
            Some(open) if !open.client.is_closed() => {}
            lost => {
                let mut client = self.config.connect(self.tls.clone())?;
                client.batch_execute(SESSION_LIMITS)?;
                *lost = Some(Open { client, statements: HashMap::new() });
            }
        }
        self.open.as_mut().ok_or(QueueError::Closed)
    }

    fn run(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Session) -> Result<(), QueueError>,
    ) -> Result<(), QueueError> {
        let Open { client, statements } = self.open()?;
        if statements.len() > STATEMENTS {
            // The server forgets each when its last handle is gone.
            statements.clear();
        }
        // The default, said aloud: what is decided here rests on row locks and unique keys.
        let transaction =
            client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start()?;
        let mut session = InPostgres { transaction, statements };
        work(&mut session)?;
        Ok(session.transaction.commit()?)
    }
}

impl Connection for Postgres {
    fn transaction(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Session) -> Result<(), QueueError>,
    ) -> Result<(), QueueError> {
        let mut tries = 1;
        loop {
            match self.run(work) {
                Err(QueueError::Conflict) if tries < TRIES => tries += 1,
                ended => return ended,
            }
        }
    }
}

struct InPostgres<'c> {
    transaction: Transaction<'c>,
    statements: &'c mut HashMap<String, Statement>,
}

impl InPostgres<'_> {
    fn prepared(&mut self, sql: &str) -> Result<Statement, QueueError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.transaction.prepare(sql)?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl Session for InPostgres<'_> {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, QueueError> {
        let statement = self.prepared(sql)?;
        Ok(self.transaction.execute(&statement, &borrowed(values))?)
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, QueueError> {
        let statement = self.prepared(sql)?;
        let rows = self.transaction.query(&statement, &borrowed(values))?;
        let row = |row: &postgres::Row| {
            let values = (0..row.len()).map(|column| Ok(row.try_get(column)?));
            Ok(Row(values.collect::<Result<_, QueueError>>()?))
        };
        rows.iter().map(row).collect()
    }

    fn has_table(&mut self, table: &str) -> Result<bool, QueueError> {
        // Until the transaction ends, so that the first process makes the tables and the others find them.
        self.transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MAKING_TABLES])?;
        let row = self.transaction.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table])?;
        Ok(row.try_get(0)?)
    }

    fn execute_all(&mut self, sql: &str) -> Result<(), QueueError> {
        Ok(self.transaction.batch_execute(sql)?)
    }

    fn skip_locked(&self) -> &'static str {
        " FOR UPDATE SKIP LOCKED"
    }
}

fn borrowed(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as _).collect()
}

type AnyError = Box<dyn std::error::Error + Sync + Send>;

impl ToSql for Value {
    fn to_sql(&self, column: &Type, out: &mut BytesMut) -> Result<IsNull, AnyError> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Number(number) => number.to_sql(column, out),
            // It takes every character but this one, and what others say of an error may hold it.
            Self::Text(text) if text.contains('\0') => text.replace('\0', "\u{fffd}").to_sql(column, out),
            Self::Text(text) => text.to_sql(column, out),
        }
    }

    fn accepts(column: &Type) -> bool {
        matches!(*column, Type::INT8 | Type::TEXT)
    }

    postgres::types::to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(column: &Type, raw: &'a [u8]) -> Result<Self, AnyError> {
        Ok(match *column {
            Type::INT4 => Self::Number(i32::from_sql(column, raw)?.into()),
            Type::INT8 => Self::Number(i64::from_sql(column, raw)?),
            _ => Self::Text(String::from_sql(column, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, AnyError> {
        Ok(Self::Null)
    }

    fn accepts(column: &Type) -> bool {
        matches!(*column, Type::INT4 | Type::INT8 | Type::TEXT)
    }
}

impl From<postgres::Error> for QueueError {
    fn from(error: postgres::Error) -> Self {
        use postgres::error::SqlState;
        match error.code() {
            Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE) => Self::Conflict,
            // What the server says of itself; the URL is not in it.
            _ => Self::Store(match error.as_db_error() {
                Some(told) => format!("postgresql: {} ({})", told.message(), told.code().code()),
                None => format!("postgresql: {error}"),
            }),
        }
    }
}
