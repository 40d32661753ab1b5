//! Which fault is tried at which step.

use std::time::Duration;

use bytes::Bytes;
use spillway_tests::faults::{S3Fault, S3Operation, TcpFault};

/// Longer than any timeout of the rig.
const BEYOND_TIMEOUTS: Dose = Dose::For(Duration::from_secs(5));
/// Longer than the S3 client tries, and shorter than an object takes to be dead.
const A_WHILE: Dose = Dose::For(Duration::from_millis(1200));

/// A fault at a step.
pub struct Cell {
    /// Where.
    pub step: &'static str,
    /// What.
    pub fault: &'static str,
    pub means: Means,
    pub scene: Scene,
    /// Whether it is played with the other tests.
    pub often: bool,
}

/// What makes it happen.
pub enum Means {
    /// On the wire of `link`, to requests that hold `mark`.
    Wire { link: Link, mark: &'static str, fault: TcpFault, dose: Dose },
    /// In R2.
    Bucket { operation: S3Operation, fault: S3Fault, dose: Dose },
    /// In the process, the first time that it comes to a place.
    Failpoint { place: &'static str, end: End },
    /// Another process holds the write lock of SQLite.
    Locked(Duration),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// From the edge to the origin.
    Notifications,
    /// From the consumer to R2.
    Bucket,
    /// From the consumer to ClickHouse.
    ClickHouse,
    /// To the ledger in PostgreSQL.
    Ledger,
}

#[derive(Clone, Copy)]
pub enum Dose {
    /// So many times.
    Times(u64),
    /// From its first time on.
    For(Duration),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The process ends without a word, and is started again.
    Killed,
    Panic,
}

/// What else has to be so for the step to be taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// Nothing.
    Usual,
    /// No notification arrives, so that the sweep has to find everything.
    Unnotified,
    /// A consumer died after an insert, so that the next one has to verify.
    SecondTry,
    /// An object cannot be stored, and is copied to `dlq/`.
    DeadLetter,
    /// It has to be audited as well.
    Audited,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ledger {
    Sqlite,
    Postgres,
}

impl Cell {
    pub fn name(&self) -> String {
        format!("{}: {}", self.step, self.fault)
    }

    pub fn ledger(&self) -> Ledger {
        match self.means {
            Means::Wire { link: Link::Ledger, .. } => Ledger::Postgres,
            _ => Ledger::Sqlite,
        }
    }

    /// After some failures in a row the edge does not notify for half a minute.
    pub fn silences_the_edge(&self) -> bool {
        self.scene == Scene::Unnotified || matches!(self.means, Means::Failpoint { .. })
    }

    fn often(self) -> Self {
        Self { often: true, ..self }
    }
}

/// All cells, in the order of the table.
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    cells.extend(notification());
    cells.extend(enqueue());
    cells.extend(ends("claim", "consume::claimed"));
    cells.extend(fetch());
    cells.extend(decode());
    cells.extend(ends("begin_insert", "consume::insert_begun"));
    cells.extend(insert());
    cells.extend(verification());
    cells.extend(acknowledgement());
    cells.extend(sweep());
    cells.extend(dead_letter());
    cells.extend(audit());
    cells
}

fn notification() -> Vec<Cell> {
    let step = "notification (edge to origin)";
    let cell = |fault, tcp, dose| wire(step, fault, Link::Notifications, "", tcp, dose);
    vec![
        cell("refused", TcpFault::Refuse, Dose::Times(2)),
        cell("request reset", TcpFault::ResetRequest(50), Dose::Times(2)),
        cell("answer reset", TcpFault::ResetAnswer(20), Dose::Times(2)),
        cell("answer truncated", TcpFault::TruncateAnswer(10), Dose::Times(2)),
        cell("answer lost after commit", TcpFault::LoseAnswer, Dose::Times(3)).often(),
        cell("500", TcpFault::Answer(500), Dose::Times(2)),
        cell("503", TcpFault::Answer(503), Dose::Times(2)),
        cell("404", TcpFault::Answer(404), Dose::Times(2)),
        cell("200 by somebody else", TcpFault::Answer(200), Dose::Times(2)),
        cell("stall", TcpFault::Stall, BEYOND_TIMEOUTS),
    ]
}

fn enqueue() -> Vec<Cell> {
    let step = "enqueue (SQLite)";
    let mut cells = vec![Cell {
        step,
        fault: "locked for 3 s",
        means: Means::Locked(Duration::from_secs(3)),
        scene: Scene::Usual,
        often: false,
    }];
    cells.extend(ends("enqueue, before the commit", "queue::enqueue"));
    cells.push(failpoint("enqueue, in the transaction", "panic", "queue::transaction", End::Panic));
    cells.extend(ends("enqueue, after the commit", "queue::enqueued"));
    let cell = |fault, mark, tcp, dose| wire("ledger (PostgreSQL)", fault, Link::Ledger, mark, tcp, dose);
    cells.extend([
        cell("refused", "", TcpFault::Refuse, Dose::For(Duration::from_secs(2))),
        cell("request reset", "", TcpFault::ResetRequest(1), Dose::Times(20)),
        cell("answer reset", "", TcpFault::ResetAnswer(1), Dose::Times(20)),
        cell("stall", "", TcpFault::Stall, BEYOND_TIMEOUTS),
        cell("stall of the answer", "", TcpFault::StallAnswer(0), BEYOND_TIMEOUTS),
        cell("answer lost after commit", "COMMIT", TcpFault::ResetAnswer(0), Dose::Times(20)).often(),
    ]);
    cells
}

fn fetch() -> Vec<Cell> {
    let step = "fetch (GetObject)";
    let mark = "GET /cdn-cgi/local/r2/s3/spillway/v1/";
    let tcp = |fault, tcp, dose| wire(step, fault, Link::Bucket, mark, tcp, dose);
    let s3 = |fault, s3, dose| bucket(step, fault, S3Operation::GetObject, s3, dose);
    let mut cells = vec![
        wire(step, "refused", Link::Bucket, "", TcpFault::Refuse, A_WHILE),
        tcp("request reset", TcpFault::ResetRequest(50), A_WHILE),
        tcp("answer reset", TcpFault::ResetAnswer(20), A_WHILE),
        tcp("stall in the answer", TcpFault::StallAnswer(700), BEYOND_TIMEOUTS),
        s3("stall", S3Fault::Stall, BEYOND_TIMEOUTS),
        s3("truncation", S3Fault::TruncateBody(100), A_WHILE).often(),
        s3("body reset", S3Fault::ResetBody(100), A_WHILE),
        s3("500", S3Fault::InternalError, A_WHILE),
        s3("503 SlowDown", S3Fault::SlowDown, A_WHILE).often(),
        s3("404", S3Fault::NoSuchKey, A_WHILE),
        s3("wrong ETag", S3Fault::WrongETag, A_WHILE),
        s3("wrong bytes", S3Fault::WrongBytes, A_WHILE).often(),
        s3("another object", S3Fault::OtherBody(Bytes::from_static(b"another object")), A_WHILE),
    ];
    cells.extend(ends(step, "consume::fetched"));
    cells
}

fn decode() -> Vec<Cell> {
    let mut cells = vec![failpoint("decode", "panic over an object", "consume::decode", End::Panic)];
    cells.extend(ends("decode, after it", "consume::decoded"));
    cells
}

fn insert() -> Vec<Cell> {
    let cell = |step, fault, tcp, dose| wire(step, fault, Link::ClickHouse, "INSERT", tcp, dose);
    let (sending, answer) = ("insert, sending", "insert, its answer");
    let mut cells = vec![
        wire("insert, connecting", "refused", Link::ClickHouse, "", TcpFault::Refuse, A_WHILE),
        wire("insert, connecting", "stall", Link::ClickHouse, "", TcpFault::Stall, BEYOND_TIMEOUTS),
        cell(sending, "reset", TcpFault::ResetRequest(600), Dose::Times(2)).often(),
        cell(sending, "stall, and it comes late", TcpFault::Stall, BEYOND_TIMEOUTS).often(),
        cell(sending, "500", TcpFault::Answer(500), Dose::Times(2)),
        cell(sending, "503", TcpFault::Answer(503), Dose::Times(2)),
        cell(sending, "404", TcpFault::Answer(404), Dose::Times(2)),
        Cell {
            scene: Scene::Audited,
            ..cell(sending, "200 by somebody else", TcpFault::Answer(200), Dose::Times(1))
        },
        cell(answer, "reset", TcpFault::ResetAnswer(20), Dose::Times(2)),
        cell(answer, "truncation", TcpFault::TruncateAnswer(20), Dose::Times(2)),
        cell(answer, "stall", TcpFault::StallAnswer(0), BEYOND_TIMEOUTS),
        cell(answer, "lost after commit", TcpFault::LoseAnswer, Dose::Times(2)).often(),
    ];
    cells.extend(ends("insert, after a day's rows", "insert::day_inserted"));
    cells.extend(ends("insert, before the ledger knows", "consume::inserted"));
    cells
}

fn verification() -> Vec<Cell> {
    let of = |step, mark| {
        move |fault, tcp, dose| Cell {
            scene: Scene::SecondTry,
            ..wire(step, fault, Link::ClickHouse, mark, tcp, dose)
        }
    };
    let cell = of("verification query", "GROUP BY ObjectKey");
    let end = of("end of earlier inserts (KILL QUERY)", "KILL QUERY");
    vec![
        cell("request reset", TcpFault::ResetRequest(50), Dose::Times(2)),
        cell("answer reset", TcpFault::ResetAnswer(20), Dose::Times(2)),
        cell("truncation", TcpFault::TruncateAnswer(400), Dose::Times(2)),
        cell("stall", TcpFault::Stall, BEYOND_TIMEOUTS),
        cell("500", TcpFault::Answer(500), Dose::Times(2)),
        cell("503", TcpFault::Answer(503), Dose::Times(2)),
        cell("404", TcpFault::Answer(404), Dose::Times(2)),
        cell("200 by somebody else", TcpFault::Answer(200), Dose::Times(1)),
        cell("answer lost", TcpFault::LoseAnswer, Dose::Times(2)),
        end("request reset", TcpFault::ResetRequest(50), Dose::Times(2)),
        end("500", TcpFault::Answer(500), Dose::Times(2)),
        end("answer lost", TcpFault::LoseAnswer, Dose::Times(2)),
    ]
}

fn acknowledgement() -> Vec<Cell> {
    ends("ack, after the commit", "consume::acknowledged").into()
}

fn sweep() -> Vec<Cell> {
    let mut cells = Vec::new();
    let unnotified = |cell: Cell| Cell { scene: Scene::Unnotified, ..cell };
    for (step, operation) in
        [("sweep, listing", S3Operation::ListObjectsV2), ("sweep, HeadObject", S3Operation::HeadObject)]
    {
        let s3 = |fault, s3| bucket(step, fault, operation, s3, A_WHILE);
        cells.extend([
            unnotified(s3("500", S3Fault::InternalError)),
            unnotified(s3("503 SlowDown", S3Fault::SlowDown)),
            unnotified(s3("404", S3Fault::NoSuchKey)),
            unnotified(Cell {
                means: s3_for(operation, S3Fault::Stall, BEYOND_TIMEOUTS),
                ..s3("stall", S3Fault::Stall)
            }),
            unnotified(s3("answer lost", S3Fault::LoseAnswer)),
        ]);
        if operation == S3Operation::ListObjectsV2 {
            cells.extend([
                unnotified(s3("truncation", S3Fault::TruncateBody(200))),
                unnotified(s3("reset", S3Fault::ResetBody(200))),
                unnotified(s3("wrong bytes", S3Fault::WrongBytes)),
            ]);
        }
    }
    cells.extend(ends("sweep, a look", "sweep::looking").map(unnotified));
    cells
}

fn dead_letter() -> Vec<Cell> {
    let dead = |cell: Cell| Cell { scene: Scene::DeadLetter, ..cell };
    let copy = |fault, s3| dead(bucket("dead-letter copy", fault, S3Operation::CopyObject, s3, A_WHILE));
    let reason = |fault, s3| dead(bucket("dead-letter reason", fault, S3Operation::PutObject, s3, A_WHILE));
    let mut cells = vec![
        copy("500", S3Fault::InternalError),
        copy("503 SlowDown", S3Fault::SlowDown),
        copy("answer lost", S3Fault::LoseAnswer),
        reason("500", S3Fault::InternalError),
        reason("answer lost", S3Fault::LoseAnswer),
    ];
    cells.extend(ends("dead letter, copied without its reason", "dead_letters::copied").map(dead));
    cells
}

fn audit() -> Vec<Cell> {
    let audited = |cell: Cell| Cell { scene: Scene::Audited, ..cell };
    let cell =
        |fault, tcp, dose| audited(wire("audit query", fault, Link::ClickHouse, "arraySum", tcp, dose));
    let mut cells = vec![
        cell("reset", TcpFault::ResetAnswer(20), Dose::Times(1)),
        cell("truncation", TcpFault::TruncateAnswer(400), Dose::Times(1)),
        cell("stall", TcpFault::Stall, BEYOND_TIMEOUTS),
        cell("500", TcpFault::Answer(500), Dose::Times(1)),
        cell("200 by somebody else", TcpFault::Answer(200), Dose::Times(1)),
    ];
    cells.extend(ends("audit, before the ledger knows", "audit::asked").map(audited));
    cells
}

fn wire(
    step: &'static str,
    fault: &'static str,
    link: Link,
    mark: &'static str,
    tcp: TcpFault,
    dose: Dose,
) -> Cell {
    let means = Means::Wire { link, mark, fault: tcp, dose };
    Cell { step, fault, means, scene: Scene::Usual, often: false }
}

fn bucket(step: &'static str, fault: &'static str, operation: S3Operation, s3: S3Fault, dose: Dose) -> Cell {
    Cell { step, fault, means: s3_for(operation, s3, dose), scene: Scene::Usual, often: false }
}

fn s3_for(operation: S3Operation, fault: S3Fault, dose: Dose) -> Means {
    Means::Bucket { operation, fault, dose }
}

fn failpoint(step: &'static str, fault: &'static str, place: &'static str, end: End) -> Cell {
    Cell { step, fault, means: Means::Failpoint { place, end }, scene: Scene::Usual, often: false }
}

fn ends(step: &'static str, place: &'static str) -> [Cell; 2] {
    [failpoint(step, "killed", place, End::Killed), failpoint(step, "panic", place, End::Panic)]
}
