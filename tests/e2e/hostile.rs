//! Clients that mean harm, against workerd: each is answered as it deserves, or cut off; a neighbour's exports go on, and the
//! memory stays bounded.

mod bombs;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use spillway_tests::neighbour::{beside, memory_of_workerd, peak_of_workerd};
use spillway_tests::raw::{Answer, Connection, head};
use spillway_tests::stack::{Setup, TestStack};
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};

use self::bombs::bombs;

/// The most that workerd may ever take, in MiB. It has 130 before the first request, and some 350 where bodies are large.
const MAX_MEMORY: u64 = 450;
/// The same after thousands of requests: of any kind, good ones too, they bring it to 550, where it stays.
const MAX_MEMORY_OF_MANY: u64 = 700;
/// How long an answer may take, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(15);
const MIB: usize = 1 << 20;

async fn answer(connection: &mut Connection) -> Result<Option<Answer>> {
    timeout(PATIENCE, connection.answers.next()).await.context("no answer, and the connection stays open")?
}

async fn status(connection: &mut Connection) -> Result<Option<u16>> {
    Ok(answer(connection).await?.map(|answer| answer.status))
}

/// Sends the bytes and nothing else, and reads one answer.
async fn answered(stack: &TestStack, bytes: &[u8]) -> Result<Option<u16>> {
    let mut connection = Connection::open(stack).await?;
    connection.send(bytes).await;
    status(&mut connection).await
}

fn export_in_json(body: &str, key: &str, headers: &[&str]) -> Vec<u8> {
    let length = format!("content-length: {}", body.len());
    let headers: Vec<_> = headers.iter().copied().chain([length.as_str()]).collect();
    (head(Some(key), &headers) + body).into_bytes()
}

#[tokio::test]
async fn bodies_that_drip_or_never_end_are_cut_off() -> Result<()> {
    let vars = vec![("BODY_TIMEOUT_MS", "5000")];
    let stack = TestStack::start_with(Setup { edge_vars: vars, ..Setup::default() }).await?;
    let key = stack.key("acme")?;
    let (known, unknown) = (Some(key), None);
    let (announced, chunked) = ("content-length: 1000", "transfer-encoding: chunked");
    beside(&stack, async {
        let drip = (&b"1\r\n \r\n"[..], Duration::from_secs(1));
        let drips = try_join_all([
            poured(&stack, known, announced, drip),
            poured(&stack, known, chunked, drip),
            poured(&stack, unknown, announced, drip),
            poured(&stack, unknown, chunked, drip),
        ]);
        let statuses: Vec<_> = drips.await?.into_iter().map(|(status, _)| status).collect();
        assert_eq!(statuses, [Some(503), Some(503), Some(401), Some(401)]);

        let chunk = [b"10000\r\n", &[b' '; 0x10000][..], b"\r\n"].concat();
        for (key, expected) in [(known, 413), (unknown, 401)] {
            let (status, bytes) = poured(&stack, key, chunked, (&chunk, Duration::ZERO)).await?;
            assert_eq!(status, Some(expected));
            assert!(bytes < 100 * MIB, "{bytes} bytes were taken");
        }
        Ok(())
    })
    .await?;
    let memory = peak_of_workerd(&stack)?;
    assert!(memory < MAX_MEMORY, "{memory} MiB");
    stack.stop_now().await
}

/// Sends a body without an end, piece by piece with a pause after each. The answer's status, and how much was taken.
async fn poured(
    stack: &TestStack,
    key: Option<&str>,
    framing: &str,
    (piece, pause): (&[u8], Duration),
) -> Result<(Option<u16>, usize)> {
    let Connection { mut sender, mut answers } = Connection::open(stack).await?;
    sender.write_all(head(key, &[framing]).as_bytes()).await?;
    let taken = AtomicUsize::new(0);
    let pouring = async {
        while sender.write_all(piece).await.is_ok() {
            taken.fetch_add(piece.len(), Ordering::Relaxed);
            sleep(pause).await;
        }
        std::future::pending().await
    };
    let answer = tokio::select! {
        answer = timeout(PATIENCE, answers.next()) => answer.context("no answer")??,
        never = pouring => never,
    };
    Ok((answer.map(|answer| answer.status), taken.into_inner()))
}

#[tokio::test]
async fn bombs_are_refused_and_the_memory_stays_bounded() -> Result<()> {
    let stack = TestStack::start().await?;
    let (key, url) = (stack.key("acme")?, format!("{}/v1/traces", stack.edge.url));
    let (bombs, http) = (bombs()?, local_stack::http::client());
    beside(&stack, async {
        let mut after_a_round = Vec::new();
        for _ in 0..2 {
            for (name, headers, body, expected) in &bombs {
                let mut bomb = http.post(&url).header("x-api-key", key).body(body.clone());
                for (header, value) in headers {
                    bomb = bomb.header(*header, *value);
                }
                let answer = timeout(PATIENCE, bomb.send()).await.context(*name)??;
                assert_eq!(answer.status(), *expected, "{name}");
                let told = answer.bytes().await?;
                assert!(told.len() < 10_000, "{name} is answered with {} bytes", told.len());
            }
            after_a_round.push(memory_of_workerd(&stack)?);
        }
        let [first, second] = after_a_round[..] else { unreachable!("two rounds") };
        ensure!(second < first + 100, "every round takes more: {after_a_round:?} MiB");
        Ok(())
    })
    .await?;
    let memory = peak_of_workerd(&stack)?;
    assert!(memory < MAX_MEMORY, "{memory} MiB");
    stack.stop_now().await
}

#[tokio::test]
async fn bodies_without_a_key_are_not_kept() -> Result<()> {
    let stack = TestStack::start().await?;
    for framing in FRAMINGS {
        let growth = beside(&stack, hoard(&stack, None, framing)).await?;
        // Kept, they would take 320; what comes and goes leaves garbage for a while.
        assert!(growth < 160, "{framing}: {growth} MiB");
    }
    stack.stop_now().await
}

#[tokio::test]
async fn bodies_with_a_key_take_no_more_than_an_isolate_has() -> Result<()> {
    let stack = TestStack::start().await?;
    for framing in FRAMINGS {
        let growth = beside(&stack, hoard(&stack, Some(stack.key("acme")?), framing)).await?;
        assert!(growth < 192, "{framing}: {growth} MiB");
    }
    stack.stop_now().await
}

const FRAMINGS: [&str; 2] = ["content-length: 8388608", "transfer-encoding: chunked"];

/// Sends all but the end of the largest body that is allowed, by many connections at a time, and holds them for a moment.
/// The growth of workerd's peak, in MiB.
async fn hoard(stack: &TestStack, key: Option<&str>, framing: &str) -> Result<u64> {
    const CLIENTS: usize = 40;
    let before = peak_of_workerd(stack)?;
    let bytes = 8 * MIB - 1_000;
    let mut request = head(key, &[framing]).into_bytes();
    request.extend(format!("{bytes:x}\r\n").into_bytes());
    request.resize(request.len() + bytes, b' ');
    let client = async || -> Result<Connection> {
        let mut connection = Connection::open(stack).await?;
        let _ = timeout(Duration::from_secs(3), connection.send(&request)).await;
        sleep(Duration::from_millis(500)).await;
        Ok(connection)
    };
    let held = try_join_all((0..CLIENTS).map(|_| client())).await?;
    let growth = peak_of_workerd(stack)? - before;
    drop(held);
    Ok(growth)
}

#[tokio::test]
async fn ten_thousand_wrong_keys_are_refused_beside_good_ones() -> Result<()> {
    const KEYS: usize = 10_000;
    const CLIENTS: usize = 50;
    let stack = TestStack::start().await?;
    let good = stack.key("acme")?;
    // One of ours with a typo is refused without asking anybody; one of another system is looked up.
    let wrong = |n: usize| if n.is_multiple_of(2) { format!("{good}{n}") } else { format!("key-{n}") };
    let next = AtomicUsize::new(0);
    let client = async || -> Result<()> {
        let mut connection = Connection::open(&stack).await?;
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= KEYS {
                return Ok(());
            }
            connection.send(&export_in_json("{}", &wrong(n), &[])).await;
            let status = status(&mut connection).await?;
            ensure!(status == Some(401), "{} was answered {status:?}", wrong(n));
        }
    };
    beside(&stack, try_join_all((0..CLIENTS).map(|_| client()))).await?;
    let memory = peak_of_workerd(&stack)?;
    assert!(memory < MAX_MEMORY_OF_MANY, "{memory} MiB");
    stack.stop_now().await
}

#[tokio::test]
async fn bad_heads_bad_framing_and_early_ends_harm_nobody_else() -> Result<()> {
    let vars = vec![("BODY_TIMEOUT_MS", "1000")];
    let stack = TestStack::start_with(Setup { edge_vars: vars, ..Setup::default() }).await?;
    let attacks = async {
        heads_of_every_size_are_taken_or_refused(&stack).await?;
        bad_framing_ends_the_connection(&stack).await?;
        connections_that_end_halfway_are_served_as_far_as_they_go(&stack).await?;
        good_requests_behind_bad_ones_are_taken(&stack).await
    };
    beside(&stack, attacks).await?;
    stack.stop_now().await
}

async fn heads_of_every_size_are_taken_or_refused(stack: &TestStack) -> Result<()> {
    let key = stack.key("acme")?;
    for size in (0..=21).map(|bits| 1_usize << bits) {
        let header = format!("x-filler: {}", "a".repeat(size));
        let status = answered(stack, &export_in_json("{}", key, &[&header])).await?;
        let expected: &[_] = match size {
            // What workerd takes, is a matter of its version.
            ..0x8000 => &[Some(200)],
            0x8000..0x10_0000 => &[Some(200), Some(431)],
            _ => &[Some(431)],
        };
        assert!(expected.contains(&status), "{size} bytes: {status:?}");
    }
    let many: Vec<_> = (0..5_000).map(|n| format!("x-{n}: a")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(answered(stack, &export_in_json("{}", key, &many)).await?, Some(200));
    let long = "a".repeat(50_000);
    for (header, expected) in [
        (format!("x-api-key: {long}"), 401),
        (format!("authorization: Bearer {long}"), 401),
        (format!("content-type: application/{long}"), 415),
        (format!("content-encoding: {long}"), 415),
        (format!("traceparent: {long}"), 200),
        (format!("traceparent: 00-{long}-{long}-01"), 200),
        (format!("origin: https://{long}"), 200),
    ] {
        let status = answered(stack, &export_in_json("{}", key, &[&header])).await?;
        assert_eq!(status, Some(expected), "{}", &header[..20]);
    }
    Ok(())
}

async fn bad_framing_ends_the_connection(stack: &TestStack) -> Result<()> {
    let key = stack.key("acme")?;
    let with = |header: &str, body: &str| (head(Some(key), &[header]) + body).into_bytes();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a negative length", with("content-length: -1", "{}")),
        ("a length with a sign", with("content-length: +2", "{}")),
        ("a length that is none", with("content-length: two", "{}")),
        ("a length of a hundred bits", with("content-length: 1267650600228229401496703205376", "{}")),
        ("two lengths", with("content-length: 2\r\ncontent-length: 3", "{}")),
        ("an unknown transfer encoding", with("transfer-encoding: gzip", "{}")),
        ("a header without a name", with(": 2", "{}")),
        ("TLS", [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[0; 100], b"\r\n\r\n"].concat()),
    ];
    for (name, bytes) in cases {
        let mut connection = Connection::open(stack).await?;
        connection.send(&bytes).await;
        assert_eq!(status(&mut connection).await.context(name)?, Some(400), "{name}");
        assert_eq!(status(&mut connection).await?, None, "{name}: the connection stays open");
    }
    let chunked = "transfer-encoding: chunked";
    for (name, bytes, expected) in [
        ("a bad chunk", with(chunked, "zz\r\n{}\r\n0\r\n\r\n"), 400),
        ("a chunk too large to be true", with(chunked, "ffffffffffffffff\r\n{}"), 503),
        ("a body of ten gigabytes", with("content-length: 10000000000", "{}"), 413),
        ("a method that is none", b"EXPORT / HTTP/1.1\r\nhost: edge\r\n\r\n".to_vec(), 501),
    ] {
        assert_eq!(answered(stack, &bytes).await.context(name)?, Some(expected), "{name}");
    }
    Ok(())
}

async fn connections_that_end_halfway_are_served_as_far_as_they_go(stack: &TestStack) -> Result<()> {
    let key = stack.key("acme")?;
    let good = export_in_json("{}", key, &[]);
    let cut = (head(Some(key), &["content-length: 100"]) + "{}").into_bytes();
    // The client has sent all that it will, and still reads.
    for (name, bytes, expected) in [
        ("a whole request", good.as_slice(), Some(200)),
        ("half a body", &cut, Some(400)),
        ("half a head", &good[..40], None),
        ("nothing", &[], None),
    ] {
        let mut connection = Connection::open(stack).await?;
        connection.send(bytes).await;
        connection.end_sending().await;
        assert_eq!(status(&mut connection).await?, expected, "{name}");
        assert_eq!(status(&mut connection).await?, None, "{name}: the connection stays open");
    }
    // The client is gone, before an answer or in the midst of one.
    for bytes in [&good[..40], &cut, &good] {
        for _ in 0..100 {
            Connection::open(stack).await?.send(bytes).await;
        }
    }
    Ok(())
}

async fn good_requests_behind_bad_ones_are_taken(stack: &TestStack) -> Result<()> {
    let key = stack.key("acme")?;
    let good = export_in_json("{}", key, &[]);
    for (bad, expected) in [
        (export_in_json("{}", "wrong", &[]), 401),
        (export_in_json("[]", key, &[]), 400),
        (export_in_json("{}", key, &["content-type: text/plain"]), 415),
        (export_in_json("{}", key, &["content-encoding: br"]), 415),
        (b"GET /v1/traces HTTP/1.1\r\nhost: edge\r\n\r\n".to_vec(), 405),
        (b"POST /v2 HTTP/1.1\r\nhost: edge\r\ncontent-length: 5\r\n\r\nPOST ".to_vec(), 404),
    ] {
        let mut connection = Connection::open(stack).await?;
        connection.send(&[&bad[..], &good, &bad, &good].concat()).await;
        for expected in [expected, 200, expected, 200] {
            assert_eq!(status(&mut connection).await?, Some(expected));
        }
    }
    Ok(())
}
