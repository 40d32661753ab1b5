use proptest::prelude::*;

use super::{Expression, ExpressionError, Request, Truth, Value};

fn notification() -> Request {
    let url = "https://ingest.example.com/v1/traces".parse().unwrap();
    Request::notification(&url, "example.com")
}

fn read(text: &str) -> Expression {
    text.parse().unwrap_or_else(|error: ExpressionError| panic!("{text}: {error}"))
}

fn truth(text: &str) -> Truth {
    read(text).matches(&notification())
}

#[track_caller]
fn all_are(expected: Truth, expressions: &[&str]) {
    for text in expressions {
        assert_eq!(truth(text), expected, "{text}");
    }
}

#[test]
fn what_is_known_is_true_or_false() {
    all_are(
        Truth::True,
        &[
            r#"http.host eq "ingest.example.com""#,
            r#"(http.host == "ingest.example.com" && http.request.uri.path == "/v1/traces")"#,
            r#"cf.worker.upstream_zone eq "example.com""#,
            r#"http.host in {"www.example.com" "ingest.example.com"}"#,
            r#"http.host in {"www.example.com", "ingest.example.com"}"#,
            r#"not http.request.method in {"GET" "HEAD"}"#,
            r#"!(http.request.method eq "GET")"#,
            r#"starts_with(http.request.uri.path, "/v1/")"#,
            r#"ends_with(http.host, ".example.com") and not ends_with(http.host, ".org")"#,
            r#"lower(http.host) contains "example""#,
            r#"upper(http.request.method) eq "POST""#,
            r#"http.request.uri.path wildcard "/V1/*""#,
            r#"http.request.full_uri wildcard r"https://*.example.com/v1/*""#,
            r#"http.request.uri.path strict wildcard "/v1/*""#,
            r##"http.request.uri.path matches r#"^/v1/(traces|logs)$"#"##,
            r#"http.request.uri.path ~ "^/v1/""#,
            r#"raw.http.request.uri.path eq "/v1/traces""#,
            r#"any(http.request.headers["content-type"][*] contains "spillway")"#,
            r#"http.request.headers["content-type"][0] contains "spillway""#,
            r#"not any(lower(http.request.headers.names[*])[*] eq "x-csrf-token")"#,
            r#"any(http.request.headers.names[*] == "content-type")"#,
            r#"not any(http.request.headers["x-csrf-token"][*] eq "v")"#,
            r#"len(http.request.headers["authorization"]) eq 0 or true"#,
            r#"all(http.request.headers["content-type"][*] ne "text/html")"#,
            r#"http.user_agent eq """#,
            "ssl",
            "cf.edge.server_port in {80 443}",
            "cf.edge.server_port in {400..500}",
            "len(http.request.uri.path) gt 5 and len(http.request.uri.path) <= 10",
            r#"substring(http.request.uri.path, 1, 3) eq "v1""#,
            r#"concat(http.host, http.request.uri.path) eq "ingest.example.com/v1/traces""#,
            r#"http.request.method eq "GET" xor http.request.method eq "POST""#,
            r#"ip.src in $trusted or http.host eq "ingest.example.com""#,
            "true",
        ],
    );
    all_are(
        Truth::False,
        &[
            r#"http.host eq "other.example.com""#,
            r#"cf.worker.upstream_zone eq "other.example""#,
            r#"cf.worker.upstream_zone eq """#,
            r#"http.request.uri.path wildcard "/v2/*""#,
            r#"http.request.uri.path strict wildcard "/V1/*""#,
            r#"http.user_agent contains "curl""#,
            r#"http.cookie contains "session=""#,
            r#"http.request.uri.query contains "debug""#,
            r#"any(http.request.headers["x-api-key"][*] eq "secret")"#,
            r#"ip.src.country in {"KP"} and http.request.uri.path eq "/login""#,
            r#"len(http.request.uri.args["key"][*]) gt 0 and false"#,
            r#"any(len(http.request.headers["authorization"][*])[*] gt 0)"#,
            r#"http.request.uri.path contains "\x2e\x2e""#,
            "not ssl",
        ],
    );
}

#[test]
fn what_depends_on_the_unknown_is_unknown() {
    all_are(
        Truth::Unknown,
        &[
            r#"ip.src.country in {"RU" "KP"}"#,
            r#"not ip.geoip.country eq "US""#,
            "cf.threat_score > 10",
            "cf.client.bot",
            "not cf.client.bot",
            "ip.src in {192.0.2.0/24 2001:db8::/32 198.51.100.7}",
            "ip.src eq 192.0.2.1",
            "ip.src in {192.0.2.1..192.0.2.9}",
            "ip.src in $office and ssl",
            r#"any(http.request.headers["cf-ray"][*] contains "FRA")"#,
            r#"any(lower(http.request.headers.names[*])[*] eq "cdn-loop")"#,
            r#"any(http.request.headers["spillway-signature"][*] contains "mac=")"#,
            r#"regex_replace(http.host, "^ingest", "x") eq "x.example.com""#,
            r#"http.host eq "ingest.example.com" and cf.bot_management.score lt 30"#,
            r#"http.host eq "other.example.com" or cf.bot_management.score lt 30"#,
            r#"len(http.request.headers["user-agent"]) eq 0"#,
            r#"len(http.request.cookies["session"]) eq 0"#,
            r#"not len(http.request.headers["cf-ray"]) gt 0"#,
            r#"lookup_json_string(http.request.body.raw, "tenant") eq "acme""#,
        ],
    );
}

#[test]
fn and_binds_more_than_xor_and_that_more_than_or() {
    all_are(Truth::True, &["true or false and false", "true or true xor true", "not false and true"]);
    all_are(Truth::False, &["(true or false) and false", "true xor true and true", "not (true or false)"]);
}

#[test]
fn what_cannot_be_read_says_where() {
    for (text, at) in [
        ("", 1),
        ("http.host eq", 13),
        ("http.host eq example", 14),
        (r#"http.host eq "a" http.host"#, 18),
        (r#"(http.host eq "a""#, 18),
        (r#"http.host eq "a"#, 14),
        (r#"http.host matches "(""#, 19),
        (r#"http.host in {"a""#, 18),
        ("http.host ; true", 11),
        ("any(", 5),
        (r"http.host eq \x41", 14),
    ] {
        let error = text.parse::<Expression>().unwrap_err();
        assert_eq!(error.at, at, "{text}: {error}");
    }
    let deep = "(".repeat(3000) + "true" + &")".repeat(3000);
    assert!(deep.parse::<Expression>().unwrap_err().problem.contains("brackets"));
}

#[test]
fn it_is_told_what_a_rule_looks_at() {
    let rule = read(
        r#"(http.host eq "a.example" or starts_with(http.host, "b.")) and lower(http.request.uri.path) in {"/c" "/d"}
           and any(lower(http.request.headers.names[*])[*] == "cf-worker") and ip.src.country ne "T1""#,
    );
    assert_eq!(rule.compared_with("http.host"), ["a.example", "b."]);
    assert_eq!(rule.compared_with("http.request.uri.path"), ["/c", "/d"]);
    assert!(rule.asks_for_header("cf-worker") && !rule.asks_for_header("cf-ray"));
    for asks in
        [r#"http.request.headers["cf-worker"][0] eq "x""#, r#"has_key(http.request.headers, "CF-Worker")"#]
    {
        assert!(read(asks).asks_for_header("cf-worker"), "{asks}");
    }
    assert_eq!(notification().unknown_of(rule.fields()), ["ip.src.country"]);
}

/// Expressions of what is known, whose answer Rust knows as well.
fn known(depth: u32) -> impl Strategy<Value = (String, bool)> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(|truth| (truth.to_string(), truth)),
        (0..600i64).prop_map(|port| (format!("cf.edge.server_port ge {port}"), 443 >= port)),
        "[a-z.]{1,12}".prop_map(|part| {
            (format!("http.host contains \"{part}\""), "ingest.example.com".contains(&part))
        }),
    ];
    leaf.prop_recursive(depth, 64, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| (format!("({}) and ({})", a.0, b.0), a.1 && b.1)),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| (format!("({}) or ({})", a.0, b.0), a.1 || b.1)),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| (format!("({}) xor ({})", a.0, b.0), a.1 ^ b.1)),
            inner.prop_map(|a| (format!("not ({})", a.0), !a.1)),
        ]
    })
}

proptest! {
    /// An answer for every text but one holds for each of them.
    #[test]
    fn an_answer_for_every_other_text_holds_for_each(
        text in "[a-c.]{0,4}",
        part in "[a-c.*]{0,4}",
        how in prop::sample::select(vec![
            "http.host eq $", "http.host ne $", "http.host contains $", "http.host in {$ \"b.a\"}",
            "http.host wildcard $", "http.host strict wildcard $", "lower(http.host) eq $", "upper(http.host) ne $",
            "starts_with(http.host, $)", "ends_with(http.host, $)", "len(http.host) gt 2", "http.host lt $",
            "substring(http.host, 0, 1) eq $", "any(http.request.headers[\"host\"][*] eq $)",
        ]),
        negated in any::<bool>(),
    ) {
        let expression = how.replace('$', &format!("\"{part}\""));
        let rule = read(&if negated { format!("not ({expression})") } else { expression });
        for than in ["a.b", "b.a", "abc", ""] {
            let whole = rule.matches(&notification().with("http.host", Value::other_than(than)));
            if !text.eq_ignore_ascii_case(than) && whole != Truth::Unknown {
                prop_assert_eq!(rule.matches(&notification().with("http.host", Value::text(&*text))), whole);
            }
        }
    }

    #[test]
    fn nothing_that_is_read_panics(text in "[a-z.\"(){}\\[\\]*$=!<>&|^~ 0-9/:_\\\\r#]{0,60}") {
        if let Ok(rule) = text.parse::<Expression>() {
            let _ = (rule.matches(&notification()), rule.fields(), rule.compared_with("http.host"));
        }
    }

    #[test]
    fn what_is_known_is_as_rust_has_it((text, expected) in known(5)) {
        prop_assert_eq!(truth(&text), expected.into());
    }

    /// Whatever the unknown turns out to be, an answer that was given before was right.
    #[test]
    fn an_answer_without_the_unknown_holds_with_it((text, _) in known(4), score in 0..100i64, bound in 0..100i64) {
        for join in ["and", "or", "xor"] {
            let text = format!("({text}) {join} cf.bot_management.score lt {bound}");
            let before = truth(&text);
            let after = read(&text).matches(&notification().with("cf.bot_management.score", Value::Number(score)));
            prop_assert!(after != Truth::Unknown);
            prop_assert!(before == Truth::Unknown || before == after);
        }
    }
}
