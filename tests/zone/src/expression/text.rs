//! Strings and regular expressions: how Cloudflare writes them, and how the engine reads them.

/// Reads a string at the beginning of `input`: `"..."`, or raw as `r"..."` or `r#"..."#`. The answer is its text, and what follows.
pub(super) fn read(input: &str) -> Result<Option<(String, &str)>, String> {
    if let Some(raw) = input.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let Some(body) = raw[hashes..].strip_prefix('"') else { return Ok(None) };
        let end = format!("\"{}", "#".repeat(hashes));
        let Some(at) = body.find(&end) else { return Err("a raw string has no end".to_owned()) };
        return Ok(Some((body[..at].to_owned(), &body[at + end.len()..])));
    }
    let Some(body) = input.strip_prefix('"') else { return Ok(None) };
    let mut text = String::new();
    let mut characters = body.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Ok(Some((text, characters.as_str()))),
            '\\' => match characters.next() {
                Some(escaped @ ('"' | '\\')) => text.push(escaped),
                // As it is: a regular expression's own.
                Some(other) => text.extend(['\\', other]),
                None => break,
            },
            other => text.push(other),
        }
    }
    Err("a string has no end".to_owned())
}

/// As a string of the engine's.
pub(super) fn string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// As a regular expression of the engine's, which takes quotes for its end outside of brackets only.
pub(super) fn regex(pattern: &str) -> String {
    let mut written = String::from("\"");
    let mut within_brackets = false;
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                written.push('\\');
                written.extend(characters.next());
            }
            '"' if !within_brackets => written.push_str("\\\""),
            other => {
                match other {
                    '[' => within_brackets = true,
                    ']' => within_brackets = false,
                    _ => {}
                }
                written.push(other);
            }
        }
    }
    written.push('"');
    written
}

/// A regular expression that matches this text only. The engine's are of bytes.
pub(super) fn quoted(text: &str) -> String {
    let quote = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    text.bytes().map(quote).collect()
}

/// A pattern in which `*` stands for anything, as a regular expression: <https://developers.cloudflare.com/ruleset-engine/rules-language/operators/#wildcard-matching>
pub(super) fn wildcard(pattern: &str) -> String {
    let mut written = String::new();
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if matches!(characters.peek(), Some('*' | '\\')) => {
                let escaped = characters.next().unwrap_or_default();
                written.push_str(&quoted(escaped.encode_utf8(&mut [0; 4])));
            }
            '*' => written.push_str(".*"),
            other => written.push_str(&quoted(other.encode_utf8(&mut [0; 4]))),
        }
    }
    format!("^{written}$")
}
