use axum::http::HeaderValue;

use super::*;

fn request() -> Request {
    let uri = "/v1/Traces.json?key=a&key=b&x=%2Fy".parse().expect("a URI");
    let mut request = Request::get("ingest.example.com", uri);
    request.client.ip = "192.0.2.7".parse().expect("an address");
    request.client.country = "BE".to_owned();
    for (name, value) in [
        ("user-agent", "OTel \"SDK\" 1.0"),
        ("x-kind", "One"),
        ("x-kind", "two"),
        ("cookie", "a=1; b=2"),
        ("x-empty", ""),
    ] {
        request.headers.append(name, HeaderValue::from_static(value));
    }
    request
}

#[test]
fn expressions_hold_or_do_not() {
    let request = request();
    for (source, holds) in [
        ("true", true),
        ("not true", false),
        ("(http.host eq \"ingest.example.com\" and http.request.method == \"GET\")", true),
        ("http.host ne \"ingest.example.com\" || ssl", true),
        ("ssl eq false", false),
        ("not ssl or !(http.host contains \"ingest\")", false),
        ("http.request.uri.path in {\"/\" \"/v1/Traces.json\"}", true),
        ("not http.request.uri.path in {\"/\" \"/v1/Traces.json\"}", false),
        ("starts_with(http.request.uri.path, \"/v1/\")", true),
        ("starts_with(lower(http.request.uri.path), \"/v1/traces.\")", true),
        ("starts_with(http.request.uri.path, \"/v1/Traces?json\")", false),
        ("ends_with(http.request.uri.path, \".json\")", true),
        ("ends_with(http.request.uri.path, \"Xjson\")", false),
        ("http.request.uri.path matches \"^/v1/[A-Z][a-z]+\\.json$\"", true),
        ("http.request.uri.path matches r\"\\.js(on)?$\"", true),
        ("http.user_agent contains \"\\\"SDK\\\"\"", true),
        ("http.user_agent matches r#\"\"SDK\" [\"0-9]\"#", true),
        ("http.request.full_uri wildcard \"https://*.EXAMPLE.com/v1/*\"", true),
        ("http.request.full_uri strict wildcard \"https://*.EXAMPLE.com/v1/*\"", false),
        ("http.request.uri.query contains \"key=a\"", true),
        ("http.request.uri.path.extension eq \"json\"", true),
        ("ip.src in {10.0.0.0/8 192.0.2.0/24}", true),
        ("ip.src eq 192.0.2.8", false),
        ("ip.src.country in {\"BE\" \"NL\"} and ip.geoip.country eq \"BE\"", true),
        ("cf.worker.upstream_zone eq \"\"", true),
        ("cf.bot_management.score lt 30", false),
        ("cf.bot_management.score in {1..30}", true),
        ("any(http.request.headers[\"X-Kind\"][*] eq \"two\")", true),
        ("any(lower(http.request.headers[\"x-kind\"][*])[*] contains \"one\")", true),
        ("all(http.request.headers[\"x-kind\"][*] eq \"two\")", false),
        ("any(http.request.headers[\"x-none\"][*] ne \"two\")", false),
        ("http.request.headers[\"x-kind\"][0] eq \"One\"", true),
        ("http.request.headers[\"x-none\"][0] ne \"One\"", false),
        ("len(http.request.headers[\"x-kind\"]) eq 2", true),
        ("len(http.request.headers[\"x-none\"]) gt 0", false),
        ("len(http.request.headers[\"x-kind\"][0]) eq 3", true),
        ("len(http.user_agent) > 5", true),
        ("any(http.request.headers.names[*] eq \"x-empty\")", true),
        ("http.request.uri.args[\"key\"][1] eq \"b\"", true),
        ("url_decode(http.request.uri.args[\"x\"][0]) eq \"/y\"", true),
        ("http.request.cookies[\"b\"][0] eq \"2\"", true),
        ("http.host eq \"x\" and true or ssl", true),
        ("http.request.uri.path eq \"\\x2fv1\\x2FTraces.json\"", true),
        ("http.request.uri.path eq \"\\057v1/Traces.json\"", true),
        ("http.request.uri.path in {\"\\x2fv1/Traces.json\"}", true),
        ("starts_with(http.request.uri.path, \"\\x2fv1\")", true),
        ("http.request.uri.path contains \"\\x2e\"", true),
        ("http.request.uri.path wildcard \"\\x2fv1*\"", true),
        ("http.request.headers[\"x\\x2dkind\"][0] eq \"One\"", true),
        ("http.request.uri.path contains r\"\\x2e\"", false),
        ("http.request.uri.path matches \"^\\x2fv1\\/[A-Z]\"", true),
    ] {
        let expression = Expression::parse(source).expect(source);
        assert_eq!(expression.matches(&request, None), holds, "{source}: {}", expression.lowered);
    }
}

#[test]
fn answers_are_seen_once_they_are_there() {
    let expression = Expression::parse_counting("http.response.code in {401 403}").expect("an expression");
    assert!(expression.looks_at_answer());
    assert!(!Expression::parse("http.host eq \"a\"").expect("an expression").looks_at_answer());
    let answer = Answer { status: 401, headers: Default::default() };
    assert!(expression.matches(&request(), Some(&answer)));
    assert!(!expression.matches(&request(), None));
}

#[test]
fn what_is_not_simulated_is_named() {
    for (source, named, character) in [
        ("http.request.jwt eq \"a\"", "the field `http.request.jwt`", 1),
        (
            "ssl and is_timed_hmac_valid_v0(\"key\", http.request.uri, 100, 1, 8)",
            "the function `is_timed_hmac_valid_v0`",
            9,
        ),
        ("ip.src in $office", "lists are not simulated: `$office`", 11),
        ("http.host eq", "a string is missing", 13),
        ("http.host eq \"a\" and", "a field is missing", 21),
        ("http.host eq \"a\" b", "`b` is not understood", 18),
        ("(http.host eq \"a\"", "`)` is missing", 18),
        ("http.request.headers[\"a\"][*] eq \"b\"", "outside of any()", 1),
        ("http.host eq \"a", "a string has no end", 14),
        ("http.host eq \"é\" or ip.src eq here", "parsing error", 21),
        ("any(lower(ip.src) eq \"a\")", "a function of text", 11),
        ("ssl and any(http.jwt[*] eq \"a\")", "the field `http.jwt`", 13),
        ("http.request.uri.path matches \"(\"", "parsing error", 1),
        ("ssl or any(http.host eq \"a\")", "any() has no [*]", 8),
        ("http.host eq \"\\/a\"", "`\\/` is no escape of a string", 16),
        ("http.host eq \"a\\n\"", "`\\n` is no escape of a string", 17),
        ("http.host eq \"\\x2\"", "`\\x` is no escape of a string", 16),
        ("http.host eq \"\\x+2\"", "`\\x` is no escape of a string", 16),
        ("http.host eq \"\\08\"", "`\\0` is no escape of a string", 16),
        ("http.host in {\"a\" \"\\é\"}", "`\\é` is no escape of a string", 21),
        ("http.host wildcard \"\\*\"", "`\\*` is no escape of a string", 22),
        ("http.host eq \"\\xe9\"", "`\\xe9` is not simulated", 16),
        ("http.host eq \"\\351\"", "`\\351` is not simulated", 16),
        ("http.host eq \"a\\", "a string has no end", 14),
        (
            "ssl and http.response.code eq 401",
            "the field `http.response.code` has no value before the answer",
            9,
        ),
        (
            "any(http.response.headers[\"a\"][*] eq \"b\")",
            "the field `http.response.headers` has no value",
            5,
        ),
        ("len(http.response.headers[\"a\"]) eq 1", "the field `http.response.headers` has no value", 5),
    ] {
        let error = Expression::parse(source).expect_err(source);
        assert_eq!(error.character, character, "{error}");
        let error = error.to_string();
        assert!(error.contains(named) && error.contains(source), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
