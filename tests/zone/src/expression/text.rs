//! Strings and regular expressions: how Cloudflare writes them, and how the engine reads them.

use super::lower::Fault;

/// A text, and what follows it; `None`: there is no string.
pub(super) type Read<'s> = Result<Option<(String, &'s str)>, Fault<'s>>;

/// Reads a string at the beginning of `input`: `"..."`, or raw as `r"..."` or `r#"..."#`.
pub(super) fn read(input: &str) -> Read<'_> {
    read_with(input, escaped)
}

/// Reads a string that holds a regular expression, whose own escapes stay as they are.
pub(super) fn read_pattern(input: &str) -> Read<'_> {
    read_with(input, |after, text| {
        let mut characters = after.chars();
        match characters.next() {
            Some(quoted @ ('"' | '\\')) => text.push(quoted),
            Some(other) => text.extend(['\\', other]),
            None => {}
        }
        Ok(characters.as_str())
    })
}

/// `escape` writes what the text after a backslash stands for, and answers with what follows.
fn read_with<'s>(
    input: &'s str,
    escape: impl Fn(&'s str, &mut String) -> Result<&'s str, Fault<'s>>,
) -> Read<'s> {
    let endless = |message: &str| Fault { rest: input, message: message.to_owned() };
    if let Some(raw) = input.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let Some(body) = raw[hashes..].strip_prefix('"') else { return Ok(None) };
        let end = format!("\"{}", "#".repeat(hashes));
        let Some(at) = body.find(&end) else { return Err(endless("a raw string has no end")) };
        return Ok(Some((body[..at].to_owned(), &body[at + end.len()..])));
    }
    let Some(mut rest) = input.strip_prefix('"') else { return Ok(None) };
    let mut text = String::new();
    loop {
        let at = rest.find(['"', '\\']).ok_or_else(|| endless("a string has no end"))?;
        text.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if rest[at..].starts_with('"') {
            return Ok(Some((text, after)));
        }
        if after.is_empty() {
            return Err(endless("a string has no end"));
        }
        rest = escape(after, &mut text)?;
    }
}

/// The escapes of a string, as the engine has them: `\"`, `\\`, and a byte as `\xHH` or `\OOO`. Releases of the engine differ in what
/// they make of a byte above 127.
fn escaped<'s>(after: &'s str, text: &mut String) -> Result<&'s str, Fault<'s>> {
    let (digits, radix) = match after.chars().next() {
        Some(quoted @ ('"' | '\\')) => {
            text.push(quoted);
            return Ok(&after[1..]);
        }
        Some('x') => (after.get(1..3), 16),
        Some('0'..='7') => (after.get(..3), 8),
        _ => (None, 16),
    };
    let value = digits.filter(|digits| digits.chars().all(|digit| digit.is_digit(radix)));
    match value.and_then(|digits| u32::from_str_radix(digits, radix).ok()).and_then(char::from_u32) {
        Some(byte) if byte.is_ascii() => {
            text.push(byte);
            Ok(&after[3..])
        }
        Some(_) => {
            let message = format!("`\\{}` is not simulated: simulated are bytes up to `\\x7f`", &after[..3]);
            Err(Fault { rest: after, message })
        }
        None => {
            let first: String = after.chars().take(1).collect();
            let message = format!(
                "`\\{first}` is no escape of a string; its escapes are `\\\"`, `\\\\`, `\\xHH` and `\\OOO`"
            );
            Err(Fault { rest: after, message })
        }
    }
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
