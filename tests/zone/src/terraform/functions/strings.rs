//! Of strings.

use ::regex::Regex;

use super::{null, some};
use crate::terraform::convert::{self, Converted, Fault, elements};
use crate::value::Value;

fn as_text(value: Value) -> Result<String, Fault> {
    match convert::text(value)? {
        Value::Text(text) => Ok(text),
        _ => Err(null()),
    }
}

fn texts<const N: usize>(arguments: Vec<Value>) -> Result<[String; N], Fault> {
    let texts = arguments.into_iter().map(as_text).collect::<Result<Vec<_>, _>>()?;
    texts.try_into().map_err(|_| null())
}

fn ascii(text: &str) -> Result<(), Fault> {
    if text.is_ascii() {
        Ok(())
    } else {
        Err(Fault::NotEvaluated(format!("`{text}` is beyond ASCII, where it is not evaluated")))
    }
}

pub(super) fn to_string(arguments: Vec<Value>) -> Converted {
    let [value] = some(arguments)?;
    convert::text(value)
}

pub(super) fn join(arguments: Vec<Value>) -> Converted {
    let mut arguments = arguments.into_iter();
    let separator = as_text(arguments.next().unwrap_or(Value::Null))?;
    let mut parts = Vec::new();
    for list in arguments {
        for item in elements(list)? {
            parts.push(as_text(item.value)?);
        }
    }
    Ok(Value::Text(parts.join(&separator)))
}

pub(super) fn split(arguments: Vec<Value>) -> Converted {
    let [separator, text] = texts(arguments)?;
    if separator.is_empty() {
        return Err(Fault::NotEvaluated("an empty separator is not evaluated".to_owned()));
    }
    Ok(Value::list(text.split(separator.as_str()).map(Value::from)))
}

pub(super) fn lower(arguments: Vec<Value>) -> Converted {
    let [text] = texts(arguments)?;
    ascii(&text)?;
    Ok(Value::Text(text.to_ascii_lowercase()))
}

pub(super) fn upper(arguments: Vec<Value>) -> Converted {
    let [text] = texts(arguments)?;
    ascii(&text)?;
    Ok(Value::Text(text.to_ascii_uppercase()))
}

pub(super) fn replace(arguments: Vec<Value>) -> Converted {
    let [text, from, to] = texts(arguments)?;
    if from.len() > 1 && from.starts_with('/') && from.ends_with('/') {
        return Err(Fault::NotEvaluated(format!(
            "`{from}` is a regular expression, with which it is not evaluated"
        )));
    }
    if from.is_empty() {
        return Err(Fault::NotEvaluated("an empty string to replace is not evaluated".to_owned()));
    }
    Ok(Value::Text(text.replace(&from, &to)))
}

pub(super) fn starts_with(arguments: Vec<Value>) -> Converted {
    let [text, prefix] = texts(arguments)?;
    Ok(Value::Bool(text.starts_with(&prefix)))
}

pub(super) fn ends_with(arguments: Vec<Value>) -> Converted {
    let [text, suffix] = texts(arguments)?;
    Ok(Value::Bool(text.ends_with(&suffix)))
}

pub(super) fn contains(arguments: Vec<Value>) -> Converted {
    let [text, part] = texts(arguments)?;
    Ok(Value::Bool(text.contains(&part)))
}

pub(super) fn trim_space(arguments: Vec<Value>) -> Converted {
    let [text] = texts(arguments)?;
    ascii(&text)?;
    Ok(text.trim().into())
}

pub(super) fn trim_prefix(arguments: Vec<Value>) -> Converted {
    let [text, prefix] = texts(arguments)?;
    Ok(text.strip_prefix(prefix.as_str()).unwrap_or(&text).into())
}

pub(super) fn trim_suffix(arguments: Vec<Value>) -> Converted {
    let [text, suffix] = texts(arguments)?;
    Ok(text.strip_suffix(suffix.as_str()).unwrap_or(&text).into())
}

/// With the verbs `%s`, `%d`, `%q` and `%%`.
pub(super) fn format(arguments: Vec<Value>) -> Converted {
    let mut arguments = arguments.into_iter();
    let pattern = as_text(arguments.next().unwrap_or(Value::Null))?;
    formatted(&pattern, arguments.collect()).map(Value::Text)
}

/// For each element of the lists; what is no list stands in each.
pub(super) fn format_list(arguments: Vec<Value>) -> Converted {
    let mut arguments = arguments.into_iter();
    let pattern = as_text(arguments.next().unwrap_or(Value::Null))?;
    let arguments: Vec<_> = arguments.collect();
    let lists = arguments.iter().filter(|argument| matches!(argument, Value::List(_) | Value::Set(_)));
    let lengths =
        lists.map(|list| elements(list.clone()).map(|items| items.len())).collect::<Result<Vec<_>, _>>()?;
    let Some(length) = lengths.first().copied() else {
        return Err(Fault::NotEvaluated("it is evaluated with a list only".to_owned()));
    };
    if lengths.iter().any(|other| *other != length) {
        return Err(Fault::Terraform("the lists differ in length".to_owned()));
    }
    let mut all = Vec::new();
    for n in 0..length {
        let nth = |argument: &Value| match argument {
            list @ (Value::List(_) | Value::Set(_)) => Ok(elements(list.clone())?.swap_remove(n).value),
            other => Ok(other.clone()),
        };
        let values = arguments.iter().map(nth).collect::<Result<Vec<_>, _>>()?;
        all.push(Value::Text(formatted(&pattern, values)?));
    }
    Ok(Value::list(all))
}

fn formatted(pattern: &str, values: Vec<Value>) -> Result<String, Fault> {
    let mut values = values.into_iter();
    let mut written = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            written.push(character);
            continue;
        }
        let verb = characters.next().unwrap_or(' ');
        if verb == '%' {
            written.push('%');
            continue;
        }
        let value = values.next().ok_or_else(|| Fault::Terraform("there are too few values".to_owned()))?;
        match verb {
            's' => written.push_str(&as_text(value)?),
            'd' => match convert::number(value)? {
                Value::Whole(whole) => written.push_str(&whole.to_string()),
                _ => return Err(convert::fraction()),
            },
            'q' => {
                let text = as_text(value)?;
                ascii(&text)?;
                written.push_str(&json_encoded(&Value::Text(text))?);
            }
            verb => return Err(Fault::NotEvaluated(format!("the verb `%{verb}` is not evaluated"))),
        }
    }
    match values.next() {
        Some(_) => Err(Fault::Terraform("there are too many values".to_owned())),
        None => Ok(written),
    }
}

/// Go escapes what would mean something in HTML.
pub(super) fn json_encode(arguments: Vec<Value>) -> Converted {
    let [value] = some(arguments)?;
    json_encoded(&value).map(Value::Text)
}

fn json_encoded(value: &Value) -> Result<String, Fault> {
    let written = value.to_string();
    let is_other =
        |character: char| character == '\u{7f}' || character == '\u{2028}' || character == '\u{2029}';
    if written.contains("\\u")
        || written.contains("\\b")
        || written.contains("\\f")
        || written.contains(is_other)
    {
        return Err(Fault::NotEvaluated("control characters are not evaluated".to_owned()));
    }
    Ok(written.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"))
}

/// The match, or its groups: a list where they have no names, else an object.
pub(super) fn regex(arguments: Vec<Value>) -> Converted {
    let [pattern, text] = texts(arguments)?;
    ascii(&text)?;
    check_pattern(&pattern)?;
    let compiled = Regex::new(&pattern)
        .map_err(|error| Fault::NotEvaluated(format!("the pattern `{pattern}` is not evaluated: {error}")))?;
    let Some(groups) = compiled.captures(&text) else {
        return Err(Fault::Terraform(format!("`{pattern}` does not match `{text}`")));
    };
    let value = |group: Option<::regex::Match<'_>>| group.map_or(Value::Null, |group| group.as_str().into());
    let named = compiled.capture_names().skip(1).flatten().count();
    if compiled.captures_len() == 1 {
        Ok(value(groups.get(0)))
    } else if named == 0 {
        Ok(Value::list(groups.iter().skip(1).map(value)))
    } else if named == compiled.captures_len() - 1 {
        let names = compiled.capture_names().flatten();
        Ok(Value::Object(names.map(|name| (name.to_owned(), value(groups.name(name)).into())).collect()))
    } else {
        Err(Fault::Terraform("groups with and without names cannot be mixed".to_owned()))
    }
}

/// Terraform has Go's regular expressions. Where those of Rust mean something else, it is within brackets.
fn check_pattern(pattern: &str) -> Result<(), Fault> {
    let mut within = false;
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        let differs = match character {
            '\\' => {
                characters.next();
                false
            }
            '[' if within => next != Some(':'),
            '[' => {
                within = true;
                // A bracket that comes first stands for itself.
                if next == Some('^') {
                    characters.next();
                }
                if characters.peek() == Some(&']') {
                    characters.next();
                }
                false
            }
            ':' if within && next == Some(']') => {
                characters.next();
                false
            }
            ']' => {
                within = false;
                false
            }
            '&' | '-' | '~' if within => next == Some(character),
            _ => false,
        };
        if differs {
            let message =
                format!("the brackets of the pattern `{pattern}` are not evaluated; escape what is in them");
            return Err(Fault::NotEvaluated(message));
        }
    }
    Ok(())
}
