//! Operators and conversions, as Terraform has them: <https://developer.hashicorp.com/terraform/language/expressions/types>

use std::collections::BTreeMap;

use hcl_edit::expr::BinaryOperator;

use crate::value::{Item, Value};

/// Why something has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Terraform refuses it as well.
    Terraform(String),
    /// Terraform may take it; here it is not evaluated.
    NotEvaluated(String),
}

pub(super) type Converted = Result<Value, Fault>;

impl Fault {
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Terraform(message) | Self::NotEvaluated(message) => message,
        }
    }

    fn kind<T>(value: &Value, wanted: &str) -> Result<T, Self> {
        Err(Self::Terraform(format!("this is {}, not {wanted}", value.kind())))
    }
}

/// As a string. `null` and what is unknown stay what they are, here and below.
pub(super) fn text(value: Value) -> Converted {
    match value {
        Value::Bool(bool) => Ok(Value::Text(bool.to_string())),
        Value::Whole(whole) => Ok(Value::Text(whole.to_string())),
        Value::Fraction(_) => Err(fraction()),
        Value::Text(_) | Value::Null | Value::Unknown(_) => Ok(value),
        Value::List(_) | Value::Set(_) | Value::Object(_) => Fault::kind(&value, "a string"),
    }
}

/// As a number.
pub(super) fn number(value: Value) -> Converted {
    match value {
        Value::Whole(_) | Value::Fraction(_) | Value::Null | Value::Unknown(_) => Ok(value),
        Value::Text(text) => {
            let digits = text.strip_prefix('-').unwrap_or(&text);
            if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                text.parse().map(Value::Whole).map_err(|_| too_large())
            } else if text.parse::<f64>().is_ok() {
                Err(fraction())
            } else {
                Err(Fault::Terraform(format!("`{text}` is not a number")))
            }
        }
        other => Fault::kind(&other, "a number"),
    }
}

/// As a truth value.
pub(super) fn bool(value: Value) -> Converted {
    match &value {
        Value::Bool(_) | Value::Null | Value::Unknown(_) => Ok(value),
        Value::Text(text) => match text.as_str() {
            "true" | "1" => Ok(Value::Bool(true)),
            "false" | "0" => Ok(Value::Bool(false)),
            _ => Err(Fault::Terraform(format!("`{text}` is neither true nor false"))),
        },
        other => Fault::kind(other, "true or false"),
    }
}

pub(super) fn not(value: Value) -> Converted {
    match bool(value)? {
        Value::Bool(bool) => Ok(Value::Bool(!bool)),
        Value::Null => Err(Fault::Terraform("null is neither true nor false".to_owned())),
        other => Ok(other),
    }
}

/// The result of an operator other than `&&` and `||`.
pub(super) fn calculated(operator: BinaryOperator, left: Value, right: Value) -> Converted {
    if matches!(operator, BinaryOperator::Eq | BinaryOperator::NotEq) {
        return match equal(&left, &right)? {
            Value::Bool(equal) => Ok(Value::Bool(equal == (operator == BinaryOperator::Eq))),
            other => Ok(other),
        };
    }
    let (left, right) = match (number(left)?, number(right)?) {
        (Value::Unknown(reference), _) | (_, Value::Unknown(reference)) => {
            return Ok(Value::Unknown(reference));
        }
        (Value::Whole(left), Value::Whole(right)) => (left, right),
        (Value::Null, _) | (_, Value::Null) => {
            return Err(Fault::Terraform("null is not a number".to_owned()));
        }
        _ => return Err(fraction()),
    };
    let whole = match operator {
        BinaryOperator::Less => return Ok(Value::Bool(left < right)),
        BinaryOperator::LessEq => return Ok(Value::Bool(left <= right)),
        BinaryOperator::Greater => return Ok(Value::Bool(left > right)),
        BinaryOperator::GreaterEq => return Ok(Value::Bool(left >= right)),
        BinaryOperator::Plus => left.checked_add(right),
        BinaryOperator::Minus => left.checked_sub(right),
        BinaryOperator::Mul => left.checked_mul(right),
        BinaryOperator::Div | BinaryOperator::Mod if right == 0 => {
            return Err(Fault::Terraform("a division by 0".to_owned()));
        }
        BinaryOperator::Div if left % right != 0 => return Err(fraction()),
        BinaryOperator::Div => left.checked_div(right),
        BinaryOperator::Mod if left < 0 || right < 0 => {
            return Err(Fault::NotEvaluated("`%` of negative numbers is not evaluated".to_owned()));
        }
        BinaryOperator::Mod => left.checked_rem(right),
        BinaryOperator::Eq | BinaryOperator::NotEq | BinaryOperator::And | BinaryOperator::Or => None,
    };
    whole.map(Value::Whole).ok_or_else(too_large)
}

/// Values of different types are never equal, and a list that is written down is of another type than one of a variable.
fn equal(left: &Value, right: &Value) -> Converted {
    match (left, right) {
        (Value::Unknown(reference), _) | (_, Value::Unknown(reference)) => {
            Ok(Value::Unknown(reference.clone()))
        }
        (Value::Fraction(_), _) | (_, Value::Fraction(_)) => Err(fraction()),
        (left, right) if left.is_collection() && right.is_collection() => {
            let message = "whether lists or objects are equal depends on their types and is not evaluated; \
                           compare their `length`, or what is in them";
            Err(Fault::NotEvaluated(message.to_owned()))
        }
        (left, right) => Ok(Value::Bool(left == right)),
    }
}

/// `value` as Terraform converts it where a conditional could as well result in `other`.
pub(super) fn unified(value: Value, other: &Value) -> Converted {
    let is_primitive = |value: &Value| !value.is_collection();
    match (&value, other) {
        (_, Value::Unknown(_)) if matches!(value, Value::Bool(_) | Value::Whole(_) | Value::Fraction(_)) => {}
        (Value::Null | Value::Unknown(_), _) | (_, Value::Null | Value::Unknown(_)) => return Ok(value),
        (_, Value::Text(_)) | (Value::Text(_), _) if is_primitive(&value) && is_primitive(other) => {
            return text(value);
        }
        _ if are_alike(&value, other) => return Ok(value),
        _ => {}
    }
    let message = format!(
        "the two results of this conditional differ in type ({} and {}, or what is in them), and Terraform converts or \
         refuses them; write both of one type",
        value.kind(),
        other.kind()
    );
    Err(Fault::NotEvaluated(message))
}

/// Whether Terraform finds a type for both without a conversion that would change one of them.
pub(super) fn are_alike(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null | Value::Unknown(_), _) | (_, Value::Null | Value::Unknown(_)) => true,
        (Value::Bool(_), Value::Bool(_))
        | (Value::Whole(_) | Value::Fraction(_), Value::Whole(_) | Value::Fraction(_))
        | (Value::Text(_), Value::Text(_))
        | (Value::Set(_), Value::Set(_)) => true,
        (Value::List(left), Value::List(right)) if left.len() == right.len() => {
            left.iter().zip(right).all(|(left, right)| are_alike(&left.value, &right.value))
        }
        (Value::List(left), Value::List(right)) => all_alike(left.iter().chain(right)),
        (Value::Object(left), Value::Object(right)) if left.keys().eq(right.keys()) => {
            left.values().zip(right.values()).all(|(left, right)| are_alike(&left.value, &right.value))
        }
        (Value::Object(left), Value::Object(right)) => all_alike(left.values().chain(right.values())),
        _ => false,
    }
}

/// Each with each: what is null is like anything, so that being alike does not carry over.
fn all_alike<'i>(items: impl Iterator<Item = &'i Item> + Clone) -> bool {
    let mut rest = items;
    while let Some(item) = rest.next() {
        if !rest.clone().all(|other| are_alike(&item.value, &other.value)) {
            return false;
        }
    }
    true
}

/// Elements as those of one list: all of one type.
pub(super) fn of_one_type(items: Vec<Item>) -> Result<Vec<Item>, Fault> {
    let is_text = items.iter().any(|item| matches!(item.value, Value::Text(_)));
    if is_text && items.iter().all(|item| !item.value.is_collection()) {
        let as_text = |item: Item| Ok(Item { value: text(item.value)?, ..item });
        return items.into_iter().map(as_text).collect();
    }
    if all_alike(items.iter()) {
        return Ok(items);
    }
    let message = "these differ in type, and Terraform converts or refuses them; write all of one type";
    Err(Fault::NotEvaluated(message.to_owned()))
}

/// The elements of a list or set.
pub(super) fn elements(value: Value) -> Result<Vec<Item>, Fault> {
    match value {
        Value::List(items) => Ok(items),
        Value::Set(set) => Ok(set.into_iter().map(|text| Value::Text(text).into()).collect()),
        other => Fault::kind(&other, "a list"),
    }
}

/// What `for` goes over: keys and values, in Terraform's order.
pub(super) fn pairs(value: Value) -> Result<Vec<(Value, Item)>, Fault> {
    match value {
        Value::List(items) => {
            let numbered = items.into_iter().enumerate();
            Ok(numbered.map(|(n, item)| (Value::Whole(n.try_into().unwrap_or(i64::MAX)), item)).collect())
        }
        Value::Set(set) => {
            Ok(set.into_iter().map(|text| (Value::Text(text.clone()), Value::Text(text).into())).collect())
        }
        Value::Object(object) => Ok(object.into_iter().map(|(key, item)| (Value::Text(key), item)).collect()),
        other => Fault::kind(&other, "a list, a set or an object"),
    }
}

/// Adds to the object that `for` makes, or to the list of a key where it groups by `...`.
pub(super) fn insert(
    object: &mut BTreeMap<String, Item>,
    key: String,
    item: Item,
    groups: bool,
) -> Result<(), Fault> {
    match object.get_mut(&key) {
        Some(Item { value: Value::List(group), .. }) if groups => group.push(item),
        Some(_) => return Err(Fault::Terraform(format!("the key `{key}` comes twice"))),
        None if groups => {
            object.insert(key, Item { origin: item.origin.clone(), value: Value::List(vec![item]) });
        }
        None => {
            object.insert(key, item);
        }
    }
    Ok(())
}

/// `value.name`
pub(super) fn attribute(value: Value, name: &str) -> Converted {
    match value {
        Value::Object(mut object) => {
            let item = object.remove(name);
            item.map(|item| item.value)
                .ok_or_else(|| Fault::Terraform(format!("there is no attribute `{name}`")))
        }
        other => Fault::kind(&other, &format!("an object with `{name}`")),
    }
}

/// `value[index]`
pub(super) fn indexed(value: Value, index: Value) -> Converted {
    match (value, index) {
        (_, Value::Unknown(reference)) => Ok(Value::Unknown(reference)),
        (Value::List(mut items), index) => match number(index)? {
            Value::Whole(n) => {
                let n = usize::try_from(n).ok().filter(|n| *n < items.len());
                n.map(|n| items.swap_remove(n).value)
                    .ok_or_else(|| Fault::Terraform("there is no element of this index".to_owned()))
            }
            other => Fault::kind(&other, "an index"),
        },
        (object @ Value::Object(_), index) => match text(index)? {
            Value::Text(key) => attribute(object, &key),
            other => Fault::kind(&other, "a key"),
        },
        (other, _) => Fault::kind(&other, "a list or an object"),
    }
}

/// Terraform leaves lines of spaces alone when it takes the indentation of `<<-` away; the parser here does not.
pub(super) fn check_heredoc(written: &str) -> Result<(), Fault> {
    let is_blank = |line: &str| !line.is_empty() && line.trim().is_empty();
    if written.contains('\r') || (written.starts_with("<<-") && written.lines().any(is_blank)) {
        let message =
            "a heredoc with a line of spaces, or with carriage returns, is not evaluated; leave them out";
        return Err(Fault::NotEvaluated(message.to_owned()));
    }
    Ok(())
}

pub(super) fn fraction() -> Fault {
    Fault::NotEvaluated("fractions are not evaluated".to_owned())
}

fn too_large() -> Fault {
    Fault::NotEvaluated("numbers beyond 64 bits are not evaluated".to_owned())
}
