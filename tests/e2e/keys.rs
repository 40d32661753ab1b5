//! `origin-consumer keys`, against the stand-in for Cloudflare's API that lies over the KV of a real workerd.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use local_stack::http;
use local_stack::keys::Key;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use spillway_proto::api_key::ApiKey;
use spillway_tests::export::Export;
use spillway_tests::lone_edge::{LoneEdge, keys};
use spillway_tests::stack::ARRIVAL;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// An id of Cloudflare's form, of nothing that is there.
const ANOTHER: &str = "01234567890123456789012345678901";

/// The one key on standard output.
fn made(out: String) -> Result<ApiKey> {
    let key = out.strip_suffix('\n').context("no line")?;
    assert!(key.starts_with("spw_"), "{key}");
    Ok(ApiKey::presented(key)?)
}

/// The table of a listing, without what differs from run to run: the second column on, less the times.
fn states(listing: &str) -> Vec<(String, String)> {
    let rows = listing.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.map(|row| (row[2].to_owned(), row[3].to_owned())).collect()
}

#[tokio::test]
async fn a_key_is_made_listed_rotated_and_revoked() -> Result<()> {
    let stack = LoneEdge::start(&[], &[]).await?;
    assert_eq!(stack.keys("list").await?.success()?, "");

    let created =
        stack.keys("create --tenant acme --project shop --key-id web --spans-per-month 1000").await?;
    assert!(created.said.contains("`web`") && !created.said.contains("spw_"), "{}", created.said);
    let first = made(created.success()?)?;
    let again = stack.keys("create --tenant acme --key-id web").await?.failure(1)?;
    assert!(again.contains("`web`") && again.contains("active"), "{again}");
    made(stack.keys("create --tenant other --key-id web").await?.success()?)?;

    let listing = stack.keys("list --tenant acme").await?.success()?;
    assert_eq!(states(&listing), [("web".to_owned(), "active".to_owned())], "{listing}");
    let hash = first.hash().digest().to_string();
    assert!(!listing.contains("spw_") && !listing.contains(&hash), "{listing}");
    let listed: Value = serde_json::from_str(&stack.keys("list --tenant acme --json").await?.success()?)?;
    let expected = json!([{
        "kv_name": first.hash().kv_name(), "tenant": "acme", "project": "shop", "key_id": "web",
        "status": "active", "state": "active",
    }]);
    assert_eq!(listed, expected);

    let rotated = stack.keys("rotate --tenant acme --key-id web --new-key-id web-2 --overlap 1h").await?;
    let second = made(rotated.success()?)?;
    assert_ne!(first.hash(), second.hash());
    let listing = stack.keys("list --tenant acme").await?.success()?;
    let active = |id: &str| (id.to_owned(), "active".to_owned());
    assert_eq!(states(&listing), [active("web"), active("web-2")], "{listing}");
    let [old, new] = [record(&stack, &first).await?, record(&stack, &second).await?];
    assert!(old["expires_at"].is_string() && new["expires_at"].is_null());
    assert_eq!((&new["project"], &new["quotas"]), (&old["project"], &old["quotas"]));

    // The old key has an end now, and a third one should not guess its own.
    let unsaid = stack.keys("rotate --tenant acme --key-id web").await?.failure(2)?;
    assert!(unsaid.contains("--expires"), "{unsaid}");
    made(
        stack.keys("rotate --tenant acme --key-id web-2 --overlap 0s --new-key-id web-3").await?.success()?,
    )?;
    assert_eq!(states(&stack.keys("list --tenant acme").await?.success()?), [active("web"), active("web-3")]);

    let revoked = stack.keys("revoke --tenant acme --key-id web").await?;
    assert!(revoked.code == 0 && revoked.said.contains("2 minutes"), "{revoked:?}");
    let again = stack.keys("revoke --tenant acme --key-id web").await?;
    assert!(again.code == 0 && again.said.contains("before"), "{again:?}");
    let listing = stack.keys("list --tenant acme --all").await?.success()?;
    let all: Vec<_> = states(&listing).into_iter().map(|(_, state)| state).collect();
    assert_eq!(all, ["revoked", "expired", "active"], "{listing}");
    let of_the_dead = stack.keys("rotate --tenant acme --key-id web --expires never").await?.failure(1)?;
    assert!(of_the_dead.contains("revoked"), "{of_the_dead}");
    for unknown in [
        "rotate --tenant acme --key-id nobody",
        "revoke --tenant acme --key-id nobody",
        "revoke --tenant nobody --key-id web",
        "show-usage --tenant nobody",
    ] {
        let said = stack.keys(unknown).await?.failure(3)?;
        assert!(said.contains("`nobody`"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_made_key_is_good_at_the_edge_until_it_is_revoked() -> Result<()> {
    let stack = LoneEdge::start(&[], &[("KEY_CACHE_SECONDS", "0"), ("KEY_MISS_SECONDS", "0")]).await?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), r#"{ "span_limits": { "max_events": 1 }, "limits": { "shards": 2 } }"#)?;
    let create = format!(
        "create --tenant acme --key-id web --env test --expires 90d --spans-per-month 100 --json --record-file {}",
        file.path().display()
    );
    let created: Value = serde_json::from_str(&stack.keys(&create).await?.success()?)?;
    let first = ApiKey::presented(created["key"].as_str().context("no key")?)?;
    assert!(first.expose().starts_with("spw_test_"));
    assert_eq!(created["kv_name"], first.hash().kv_name());
    assert_eq!(created["record"], record(&stack, &first).await?);
    assert_eq!(created["record"]["span_limits"]["max_events"], 1);
    assert_eq!(export(&stack, &first, 3).await?, StatusCode::OK);

    let rotate = "rotate --tenant acme --key-id web --new-key-id web-2 --expires never";
    let second = made(stack.keys(rotate).await?.success()?)?;
    for key in [&first, &second] {
        assert_eq!(export(&stack, key, 1).await?, StatusCode::OK);
    }
    stack.keys("revoke --tenant acme --key-id web").await?.success()?;
    await_status(&stack, &first, StatusCode::UNAUTHORIZED).await?;
    assert_eq!(export(&stack, &second, 1).await?, StatusCode::OK);

    // The edge settles what it has stored some time after its answer.
    let deadline = Instant::now() + ARRIVAL;
    loop {
        let usage: Value =
            serde_json::from_str(&stack.keys("show-usage --tenant acme --json").await?.success()?)?;
        if usage["spans"] == 6 {
            assert_eq!(usage["quotas"][0]["spans_percent"], 6, "{usage}");
            assert_eq!(usage["quotas"][0]["key_ids"], json!(["web-2"]), "{usage}");
            break;
        }
        anyhow::ensure!(Instant::now() < deadline, "{usage}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let table = stack.keys("show-usage --tenant acme").await?.success()?;
    assert!(table.contains("spans  6 ") && table.contains("6 %"), "{table}");
    let before: Value = serde_json::from_str(
        &stack.keys("show-usage --tenant acme --month 2020-12 --json").await?.success()?,
    )?;
    assert_eq!((&before["spans"], &before["resets_on"]), (&json!(0), &json!("2021-01-01")));
    Ok(())
}

#[tokio::test]
async fn a_listing_has_many_pages_and_knows_keys_that_other_tools_wrote() -> Result<()> {
    // 1,000 are a page, and these are put without metadata.
    let many: Result<Vec<_>> = (0..1050).map(|n| Key::new(&format!("tenant-{n:04}"), &json!({}))).collect();
    let stack = LoneEdge::start(&many?, &[]).await?;
    made(stack.keys("create --tenant acme --key-id web").await?.success()?)?;
    value(&stack, Method::PUT, "key/junk", "not a record").await?;
    let listed = stack.keys("list").await?;
    assert!(listed.said.contains("1 values are no records"), "{}", listed.said);
    let listing = listed.success()?;
    assert_eq!(listing.lines().count(), 1 + 1 + 1050);
    let mut tenants: Vec<_> = listing.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    assert!(tenants.is_sorted());
    tenants.dedup();
    assert_eq!(tenants.len(), 1051);
    let named = stack.keys("list --json").await?.said;
    assert!(named.contains("key/junk"), "{named}");
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_not_good_is_told_and_never_shown() -> Result<()> {
    let mut stack = LoneEdge::start(&[], &[]).await?;
    for (variable, code) in [("API_TOKEN", "10000"), ("ACCOUNT_ID", "10000"), ("KV_NAMESPACE_ID", "10013")] {
        let good = stack.variables.clone();
        stack.variables.insert(format!("SPILLWAY_CLOUDFLARE__{variable}"), ANOTHER.to_owned());
        for command in ["create --tenant acme", "list", "revoke --tenant acme --key-id web"] {
            let said = stack.keys(command).await?.failure(1)?;
            assert!(said.contains(code) && said.contains(&stack.edge.kv_api.url), "{said}");
            assert_eq!(said.contains("cloudflare.api_token"), code == "10000", "{said}");
            assert!(!said.contains(ANOTHER) && !said.contains(&stack.edge.kv_api.token), "{said}");
        }
        stack.variables = good;
    }
    Ok(())
}

/// What is needed to ask an API at `url`.
fn variables(url: &str) -> BTreeMap<String, String> {
    let variables =
        [("API_URL", url), ("ACCOUNT_ID", ANOTHER), ("KV_NAMESPACE_ID", ANOTHER), ("API_TOKEN", "12345")];
    let name = |name: &str| format!("SPILLWAY_CLOUDFLARE__{name}");
    variables.map(|(field, value)| (name(field), value.to_owned())).into()
}

#[tokio::test]
async fn an_api_that_is_not_there_is_named() -> Result<()> {
    let said = keys("create --tenant acme", &variables("http://127.0.0.1:9/client/v4")).await?.failure(1)?;
    assert!(said.contains("http://127.0.0.1:9/client/v4") && said.contains("no answer"), "{said}");
    Ok(())
}

#[tokio::test]
async fn an_api_that_is_busy_is_asked_again_when_it_says_and_not_for_ever() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let listing =
        r#"{"success":true,"errors":[],"messages":[],"result":[],"result_info":{"count":0,"cursor":""}}"#;
    let busy = |after: u64| {
        format!(
            "HTTP/1.1 429 Too Many Requests\r\nretry-after: {after}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
    };
    let ok =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{listing}", listing.len());
    let answers = [busy(1), ok, busy(300)];
    let server = tokio::spawn(async move {
        for answer in answers {
            let (mut connection, _) = listener.accept().await?;
            let mut request = vec![0; 64 * 1024];
            let length = connection.read(&mut request).await?;
            assert!(String::from_utf8_lossy(&request[..length]).contains("authorization: Bearer 12345"));
            connection.write_all(answer.as_bytes()).await?;
            connection.shutdown().await?;
        }
        anyhow::Ok(())
    });
    let began = Instant::now();
    keys("list", &variables(&url)).await?.success()?;
    assert!(began.elapsed() >= Duration::from_secs(1));
    let began = Instant::now();
    let said = keys("list", &variables(&url)).await?.failure(1)?;
    assert!(said.contains("429") && began.elapsed() < Duration::from_secs(60), "{said}");
    server.await?
}

#[tokio::test]
async fn what_is_wrong_before_the_first_call_is_named_and_ends_with_2() -> Result<()> {
    let all = variables("http://127.0.0.1:9");
    for (variable, field) in [
        ("API_URL", "cloudflare.api_url"),
        ("ACCOUNT_ID", "cloudflare.account_id"),
        ("KV_NAMESPACE_ID", "cloudflare.kv_namespace_id"),
        ("API_TOKEN", "cloudflare.api_token"),
    ] {
        let mut some = all.clone();
        some.insert(format!("SPILLWAY_CLOUDFLARE__{variable}"), String::new());
        let said = keys("list", &some).await?.failure(2)?;
        assert!(said.contains(field), "{said}");
    }
    for (command, named) in [
        ("create", "--tenant"),
        ("create --tenant a/b", "--tenant"),
        ("create --tenant acme --expires tomorrow", "--expires"),
        ("create --tenant acme --expires 0s", "--expires"),
        ("create --tenant acme --requests-per-second 0", "--requests-per-second"),
        ("create --tenant acme --shards 17", "--shards"),
        ("create --tenant acme --env Live", "--env"),
        ("create --tenant acme --record-file /nowhere/record.json", "/nowhere/record.json"),
        ("rotate --tenant acme --key-id web --overlap long", "--overlap"),
        ("show-usage --tenant acme --month 2026-13", "--month"),
        ("show-usage --tenant acme", "edge.url"),
    ] {
        let said = keys(command, &all).await?.failure(2)?;
        assert!(said.contains(named), "{command}: {said}");
    }
    let help = keys("--help", &all).await?.success()?;
    for word in ["create", "show-usage", "Examples", "Exit codes", "Workers KV Storage: Edit"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    Ok(())
}

#[tokio::test]
async fn the_stand_in_keeps_to_cloudflares_schema() -> Result<()> {
    let stack = LoneEdge::start(&[], &[]).await?;
    let (status, body) = value(&stack, Method::GET, "key/none", "").await?;
    let envelope: Value = serde_json::from_str(&body)?;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!((&envelope["success"], &envelope["errors"][0]["code"]), (&json!(false), &json!(10009)));
    let (status, body) = value(&stack, Method::PUT, "a name/of its own", "plain").await?;
    assert_eq!(
        (status, serde_json::from_str::<Value>(&body)?["success"].as_bool()),
        (StatusCode::OK, Some(true))
    );
    assert_eq!(value(&stack, Method::GET, "a name/of its own", "").await?.1, "plain");
    assert_eq!(value(&stack, Method::DELETE, "a name/of its own", "").await?.0, StatusCode::OK);
    assert_eq!(value(&stack, Method::GET, "a name/of its own", "").await?.0, StatusCode::NOT_FOUND);
    Ok(())
}

/// Asks the stand-in for a value.
async fn value(
    stack: &LoneEdge,
    method: Method,
    name: &str,
    body: &'static str,
) -> Result<(StatusCode, String)> {
    let api = &stack.edge.kv_api;
    let mut url = reqwest::Url::parse(&api.url)?;
    let path =
        ["accounts", &api.account_id, "storage", "kv", "namespaces", &api.namespace_id, "values", name];
    url.path_segments_mut().map_err(|()| anyhow::anyhow!("no path"))?.extend(path);
    let answer = http::client().request(method, url).bearer_auth(&api.token).body(body).send().await?;
    Ok((answer.status(), answer.text().await?))
}

async fn record(stack: &LoneEdge, key: &ApiKey) -> Result<Value> {
    Ok(serde_json::from_str(&value(stack, Method::GET, &key.hash().kv_name(), "").await?.1)?)
}

/// Exports a trace of so many spans with the key.
async fn export(stack: &LoneEdge, key: &ApiKey, spans: usize) -> Result<StatusCode> {
    let request = http::client()
        .post(format!("{}/v1/traces", stack.edge.url))
        .header("content-type", "application/x-protobuf")
        .header("x-api-key", key.expose())
        .body(Export::new(spans).body()?);
    Ok(request.send().await?.status())
}

async fn await_status(stack: &LoneEdge, key: &ApiKey, expected: StatusCode) -> Result<()> {
    let deadline = Instant::now() + ARRIVAL;
    loop {
        let status = export(stack, key, 1).await?;
        if status == expected {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "still {status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
