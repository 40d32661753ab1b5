//! Clients that send all of a body before they read: each comes to read why a large one was refused.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use local_stack::tools::{checkout, exported};
use spillway_tests::neighbour::{beside, peak_of_workerd};
use spillway_tests::raw::{Connection, head};
use spillway_tests::stack::{Setup, TestStack};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

const MIB: usize = 1 << 20;
/// How long a client may take, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// A client, and how it frames a body.
#[derive(Debug, Clone, Copy)]
enum Upload {
    /// Python's requests, with `length` or `chunked`, at so many bytes a second; 0 is no limit.
    Requests(&'static str, usize),
    /// Node, with `length`, `chunked` or `fetch`.
    Node(&'static str),
}

impl Upload {
    /// The status of the answer. The client has read it to its end.
    async fn status(self, stack: &TestStack, key: &str, bytes: usize) -> Result<u16> {
        let url = format!("{}/v1/traces", stack.edge.url);
        let program = |file: &str| checkout().join("tests/e2e/large_refusals").join(file);
        let mut command = match self {
            Self::Requests(..) => Command::new(exported("SPILLWAY_INTEROP_PYTHON")?),
            Self::Node(_) => Command::new(exported("SPILLWAY_NODE")?),
        };
        match self {
            Self::Requests(framing, rate) => {
                command.arg(program("upload.py")).args([
                    &url,
                    key,
                    &bytes.to_string(),
                    framing,
                    &rate.to_string(),
                ]);
            }
            Self::Node(framing) => {
                command.arg(program("upload.mjs")).args([&url, key, &bytes.to_string(), framing]);
            }
        }
        let output =
            timeout(PATIENCE, command.env("NO_PROXY", "127.0.0.1").kill_on_drop(true).output()).await;
        let output = output.context("the client does not end")??;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (status, body) = said.trim().split_once(' ').context(said.clone())?;
        ensure!(body.parse::<usize>()? > 0, "the answer has no body");
        Ok(status.parse()?)
    }
}

#[tokio::test]
async fn python_and_node_read_the_refusal_of_a_large_body() -> Result<()> {
    let stack = TestStack::start().await?;
    let (known, unknown) = (stack.key("acme")?, "wrong");
    let uploads = [
        Upload::Requests("length", 0),
        Upload::Requests("chunked", 0),
        Upload::Node("length"),
        Upload::Node("chunked"),
        Upload::Node("fetch"),
    ];
    for upload in uploads {
        for (key, bytes, expected) in [
            (unknown, 6 * MIB, 401),
            (known, 16 * MIB, 413),
            (
                unknown,
                64 * MIB,
                if matches!(upload, Upload::Requests("chunked", _) | Upload::Node("chunked")) {
                    401
                } else {
                    413
                },
            ),
            (known, 100 * MIB, 413),
        ] {
            let status = upload.status(&stack, key, bytes).await;
            let status = status.with_context(|| format!("{upload:?}, {} MiB", bytes / MIB))?;
            assert_eq!(status, expected, "{upload:?}, {} MiB", bytes / MIB);
        }
    }
    let memory = peak_of_workerd(&stack)?;
    assert!(memory < 450, "{memory} MiB");
    stack.stop_now().await
}

#[tokio::test]
async fn a_slow_upload_reads_the_refusal_as_well() -> Result<()> {
    let stack = TestStack::start().await?;
    let (known, unknown) = (stack.key("acme")?, "wrong");
    let slow = Upload::Requests("length", 2 * MIB);
    let (one, other) =
        tokio::try_join!(slow.status(&stack, unknown, 8 * MIB), slow.status(&stack, known, 16 * MIB))?;
    assert_eq!((one, other), (401, 413));
    stack.stop_now().await
}

#[tokio::test]
async fn what_is_read_of_refused_bodies_is_bounded() -> Result<()> {
    let vars =
        vec![("MAX_DISCARDED_BYTES", "4194304"), ("DISCARD_TIMEOUT_MS", "2000"), ("MAX_DISCARDS", "2")];
    let stack = TestStack::start_with(Setup { edge_vars: vars, ..Setup::default() }).await?;
    beside(&stack, async {
        // In bytes: what is sent without an end is not taken without one.
        let (sent, _) = pour(&stack, &[b' '; 64 << 10], Duration::ZERO).await?;
        assert!((4 * MIB..32 * MIB).contains(&sent), "{sent} bytes were taken");
        // In time: what drips is left alone after two seconds, and the runtime's own one.
        let (_, took) = pour(&stack, b" ", Duration::from_millis(50)).await?;
        assert!((Duration::from_secs(2)..Duration::from_secs(15)).contains(&took), "{took:?}");
        // In number: the third one is answered as well, and left alone at once.
        let dripping = async { pour(&stack, b" ", Duration::from_millis(50)).await.map(|(_, took)| took) };
        let third = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            pour(&stack, &[b' '; 64 << 10], Duration::ZERO).await.map(|(sent, _)| sent)
        };
        let dripping_too = async { pour(&stack, b" ", Duration::from_millis(50)).await };
        let (_, _, sent) = tokio::try_join!(dripping, dripping_too, third)?;
        assert!(sent < 4 * MIB, "{sent} bytes were taken");
        Ok(())
    })
    .await?;
    stack.stop_now().await
}

/// Sends a body without an end and without a key, piece by piece, reads the answer, and goes on until the connection is closed. How
/// many bytes were taken, and how long that was.
async fn pour(stack: &TestStack, piece: &[u8], pause: Duration) -> Result<(usize, Duration)> {
    let Connection { mut sender, mut answers } = Connection::open(stack).await?;
    sender.write_all(head(None, &["transfer-encoding: chunked"]).as_bytes()).await?;
    let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    let (start, mut sent) = (Instant::now(), 0);
    let pouring = async {
        while sender.write_all(&chunk).await.is_ok() {
            sent += piece.len();
            tokio::time::sleep(pause).await;
        }
    };
    let reading = async { timeout(PATIENCE, answers.next()).await.context("no answer")? };
    let ((), answer) =
        timeout(PATIENCE, async { tokio::join!(pouring, reading) }).await.context("it goes on")?;
    assert_eq!(answer?.map(|answer| answer.status), Some(401));
    Ok((sent, start.elapsed()))
}
