//! Bad configuration is refused at start, with the field's name and exit code 2.

use std::process::{Command, Output};

use anyhow::Result;
use local_stack::tools::binary;

const GOOD: [(&str, &str); 5] = [
    ("SPILLWAY_NOTIFY__SIGNING_KEYS", r#"["0123456789abcdef0123456789abcdef"]"#),
    ("SPILLWAY_S3__ENDPOINT", "http://127.0.0.1:9"),
    ("SPILLWAY_S3__ACCESS_KEY_ID", "id"),
    ("SPILLWAY_S3__SECRET_ACCESS_KEY", "a-secret-that-is-not-shown"),
    ("SPILLWAY_CLICKHOUSE__URL", "http://127.0.0.1:9"),
];

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Output> {
    let mut command = Command::new(binary("origin-consumer")?);
    command.env_clear().envs(GOOD).envs(variables.iter().copied()).args(arguments);
    Ok(command.output()?)
}

#[test]
fn the_field_is_named() -> Result<()> {
    for (name, value, field) in [
        ("SPILLWAY_CLICKHOUSE__URL", "nowhere", "clickhouse.url"),
        ("SPILLWAY_CLICKHOUSE__DATABASE", "a-b", "clickhouse.database"),
        ("SPILLWAY_HTTP__LISTEN", "8080", "http.listen"),
        ("SPILLWAY_CONSUMER__WORKERS", "0", "consumer.workers"),
        ("SPILLWAY_CONSUMER__INSERTS", "0", "consumer.inserts"),
        ("SPILLWAY_CONSUMER__MEMORY_BYTES", "1000", "consumer.memory_bytes"),
        ("SPILLWAY_CONSUMER__BATCH_DELAY_MS", "60001", "consumer.batch_delay_ms"),
        ("SPILLWAY_CONSUMER__WORKERZ", "1", "workerz"),
        ("SPILLWAY_NOTIFY__SIGNING_KEYS", "a-secret-that-is-not-shown", "notify.signing_keys"),
        ("SPILLWAY_NOTIFY__SIGNING_KEYS", r#"["short"]"#, "notify.signing_keys"),
        ("SPILLWAY_S3__ACCESS_KEY_ID", "", "s3.access_key_id"),
        ("SPILLWAY_QUEUE_PULL__QUEUE_ID", "my-queue", "queue_pull.queue_id"),
        // An id of digits is an id.
        ("SPILLWAY_QUEUE_PULL__QUEUE_ID", "12345678901234567890123456789012", "cloudflare.account_id"),
    ] {
        let output = run(&["serve"], &[(name, value)])?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(said.contains(field), "{name}: {said}");
        assert!(!said.contains("a-secret-that-is-not-shown"), "{said}");
    }
    Ok(())
}

#[test]
fn a_password_of_digits_is_a_password() -> Result<()> {
    let output = run(&["migrate"], &[("SPILLWAY_CLICKHOUSE__PASSWORD", "0123456")])?;
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8(output.stderr)?);
    Ok(())
}

#[test]
fn a_server_that_is_not_there_is_named_and_is_no_mistake_of_the_configuration() -> Result<()> {
    let output = run(&["migrate"], &[])?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("http://127.0.0.1:9"), "{said}");
    Ok(())
}

#[test]
fn the_help_names_what_is_required() -> Result<()> {
    let output = run(&["--help"], &[])?;
    let said = String::from_utf8(output.stdout)?;
    for word in ["serve", "consume", "migrate", "keys", "clickhouse", "notify.signing_keys", "Exit codes"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    Ok(())
}
