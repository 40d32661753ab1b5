//! The words of an expression.

/// An expression cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be read from its character {at} on: {problem}")]
pub struct ExpressionError {
    /// Where, from 1.
    pub at: usize,
    /// What is wrong there.
    pub problem: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// A field, a function, an operator in words, a number, or an address: letters, digits and `._:/`.
    Name(String),
    Text(String),
    /// Brackets, commas, and operators in signs.
    Sign(&'static str),
}

/// A word and where it begins.
pub(super) type Placed = (usize, Word);

/// The longer ones first.
const SIGNS: [&str; 22] = [
    "==", "!=", "<=", ">=", "&&", "||", "^^", "..", "<", ">", "!", "~", "&", "(", ")", "[", "]", "{", "}",
    ",", "*", "$",
];

pub(super) fn words(text: &str) -> Result<Vec<Placed>, ExpressionError> {
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let at = text.len() - rest.len();
        let Some(first) = rest.chars().next() else { return Ok(words) };
        let (word, length) = if let Some(raw) = raw(rest) {
            raw.map_err(|problem| error(text, at, problem))?
        } else if first == '"' {
            quoted(rest).map_err(|problem| error(text, at, problem))?
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            (Word::Sign(sign), sign.len())
        } else {
            let length = name_length(rest);
            if length == 0 {
                return Err(error(text, at, format!("`{first}` is no part of an expression")));
            }
            (Word::Name(rest[..length].to_owned()), length)
        };
        words.push((at, word));
        rest = &rest[length..];
    }
}

pub(super) fn error(text: &str, at: usize, problem: impl Into<String>) -> ExpressionError {
    let at = text.get(..at).map_or(0, |before| before.chars().count()) + 1;
    ExpressionError { at, problem: problem.into() }
}

/// A range's two dots end a name.
fn name_length(text: &str) -> usize {
    let is_part = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | ':' | '/' | '-');
    let length = text.find(|char| !is_part(char)).unwrap_or(text.len());
    text[..length].find("..").unwrap_or(length)
}

/// `"text"`: a backslash stands before a quote or itself, or `x` and two hex digits.
fn quoted(text: &str) -> Result<(Word, usize), String> {
    let mut content = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Ok((Word::Text(content), at + 1)),
            '\\' => match chars.next() {
                Some((_, char @ ('"' | '\\'))) => content.push(char),
                Some((at, 'x')) => {
                    let digits = text.get(at + 1..at + 3).ok_or("\\x wants two hex digits")?;
                    let byte = u8::from_str_radix(digits, 16).map_err(|_| "\\x wants two hex digits")?;
                    content.push(char::from(byte));
                    chars.nth(1);
                }
                // As in a pattern: the backslash is a part of it.
                Some((_, char)) => content.extend(['\\', char]),
                None => break,
            },
            char => content.push(char),
        }
    }
    Err("a text does not end".to_owned())
}

/// `r"text"` and `r#"text"#`.
fn raw(text: &str) -> Option<Result<(Word, usize), String>> {
    let after = text.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let content = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(match content.find(&end) {
        Some(length) => {
            let whole = 1 + hashes + 1 + length + end.len();
            Ok((Word::Text(content[..length].to_owned()), whole))
        }
        None => Err("a raw text does not end".to_owned()),
    })
}
