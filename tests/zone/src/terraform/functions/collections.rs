//! Of lists, sets, objects and numbers.

use std::collections::{BTreeMap, BTreeSet};

use super::{null, some};
use crate::terraform::convert::{self, Converted, Fault, elements};
use crate::value::{Item, Value};

pub(super) fn concat(arguments: Vec<Value>) -> Converted {
    let mut all = Vec::new();
    for argument in arguments {
        match argument {
            Value::List(items) => all.extend(items),
            other => return Err(Fault::Terraform(format!("{} is not a list", other.kind()))),
        }
    }
    Ok(Value::List(all))
}

pub(super) fn flatten(arguments: Vec<Value>) -> Converted {
    fn flat(items: Vec<Item>, into: &mut Vec<Item>) -> Result<(), Fault> {
        for item in items {
            match item.value {
                nested @ (Value::List(_) | Value::Set(_)) => flat(elements(nested)?, into)?,
                Value::Unknown(reference) => {
                    return Err(Fault::NotEvaluated(format!(
                        "a part of it is `{reference}`, which only the provider knows"
                    )));
                }
                _ => into.push(item),
            }
        }
        Ok(())
    }
    let [list] = some(arguments)?;
    let mut all = Vec::new();
    flat(elements(list)?, &mut all)?;
    Ok(Value::List(all))
}

pub(super) fn compact(arguments: Vec<Value>) -> Converted {
    let [list] = some(arguments)?;
    let texts =
        elements(list)?.into_iter().map(|item| Ok(Item { value: convert::text(item.value)?, ..item }));
    let mut texts = texts.collect::<Result<Vec<_>, Fault>>()?;
    texts.retain(|item| !matches!(&item.value, Value::Null) && item.value.as_text() != Some(""));
    Ok(Value::List(texts))
}

pub(super) fn contains(arguments: Vec<Value>) -> Converted {
    let [list, value] = some(arguments)?;
    for item in elements(list)? {
        if convert::calculated(hcl_edit::expr::BinaryOperator::Eq, item.value, value.clone())?
            == Value::Bool(true)
        {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

pub(super) fn distinct(arguments: Vec<Value>) -> Converted {
    let [list] = some(arguments)?;
    let mut items: Vec<Item> = Vec::new();
    for item in convert::of_one_type(elements(list)?)? {
        if item.value.is_collection() {
            return Err(Fault::NotEvaluated(
                "it is evaluated of strings, numbers and truth values only".to_owned(),
            ));
        }
        if !items.contains(&item) {
            items.push(item);
        }
    }
    Ok(Value::List(items))
}

pub(super) fn length(arguments: Vec<Value>) -> Converted {
    let [value] = some(arguments)?;
    let length = match value {
        Value::List(items) => items.len(),
        Value::Set(set) => set.len(),
        Value::Object(object) => object.len(),
        // Terraform counts what a reader takes for one character.
        Value::Text(text) if text.is_ascii() && !text.contains('\r') => text.len(),
        Value::Text(_) => {
            return Err(Fault::NotEvaluated(
                "the length of a string beyond ASCII is not evaluated".to_owned(),
            ));
        }
        other => return Err(Fault::Terraform(format!("{} has no length", other.kind()))),
    };
    Ok(Value::Whole(length.try_into().unwrap_or(i64::MAX)))
}

/// The first that is neither null nor an empty string.
pub(super) fn coalesce(arguments: Vec<Value>) -> Converted {
    let items = convert::of_one_type(arguments.into_iter().map(Item::from).collect())?;
    let mut values = items.into_iter().map(|item| item.value);
    let found = values.find(|value| *value != Value::Null && value.as_text() != Some(""));
    found.ok_or_else(|| Fault::Terraform("no argument is neither null nor empty".to_owned()))
}

pub(super) fn merge(arguments: Vec<Value>) -> Converted {
    let mut merged = BTreeMap::new();
    for argument in arguments {
        match argument {
            Value::Object(object) => merged.extend(object),
            Value::Null => {}
            other => return Err(Fault::Terraform(format!("{} is not an object", other.kind()))),
        }
    }
    Ok(Value::Object(merged))
}

pub(super) fn lookup(arguments: Vec<Value>) -> Converted {
    let mut arguments = arguments.into_iter();
    let (Some(object), Some(key), default) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err(null());
    };
    let (Value::Object(object), Value::Text(key)) = (object, convert::text(key)?) else {
        return Err(Fault::Terraform("it takes an object and a key".to_owned()));
    };
    match (object.get(&key), default) {
        (Some(item), _) => Ok(item.value.clone()),
        (None, Some(default)) => {
            // Of a map, Terraform converts the default to the type of the values.
            let items = object.into_values().chain([Item::from(default.clone())]).collect();
            match convert::of_one_type(items)?.pop() {
                Some(last) if last.value == default => Ok(default),
                _ => Err(Fault::NotEvaluated("the default is of another type than the values".to_owned())),
            }
        }
        (None, None) => Err(Fault::Terraform(format!("there is no key `{key}`"))),
    }
}

pub(super) fn keys(arguments: Vec<Value>) -> Converted {
    let [Value::Object(object)] = some(arguments)? else {
        return Err(Fault::Terraform("it takes an object".to_owned()));
    };
    Ok(Value::list(object.into_keys().map(Value::Text)))
}

pub(super) fn values(arguments: Vec<Value>) -> Converted {
    let [Value::Object(object)] = some(arguments)? else {
        return Err(Fault::Terraform("it takes an object".to_owned()));
    };
    Ok(Value::List(object.into_values().collect()))
}

/// The index goes round.
pub(super) fn element(arguments: Vec<Value>) -> Converted {
    let [list, index] = some(arguments)?;
    let items = elements(list)?;
    match convert::number(index)? {
        Value::Whole(index) if index >= 0 && !items.is_empty() => {
            let index = usize::try_from(index).unwrap_or(usize::MAX) % items.len();
            Ok(items[index].value.clone())
        }
        Value::Whole(index) if index < 0 => {
            Err(Fault::NotEvaluated("an index below 0 is not evaluated".to_owned()))
        }
        _ => Err(Fault::Terraform("there is no element of this index".to_owned())),
    }
}

pub(super) fn one(arguments: Vec<Value>) -> Converted {
    let [list] = some(arguments)?;
    let mut items = elements(list)?;
    match items.len() {
        0 => Ok(Value::Null),
        1 => Ok(items.swap_remove(0).value),
        _ => Err(Fault::Terraform("there is more than one element".to_owned())),
    }
}

pub(super) fn reverse(arguments: Vec<Value>) -> Converted {
    let [list] = some(arguments)?;
    if matches!(list, Value::Set(_)) {
        return Err(Fault::NotEvaluated("it is evaluated of lists only".to_owned()));
    }
    let mut items = elements(list)?;
    items.reverse();
    Ok(Value::List(items))
}

pub(super) fn sort(arguments: Vec<Value>) -> Converted {
    let [list] = some(arguments)?;
    let mut texts = Vec::new();
    for item in elements(list)? {
        match convert::text(item.value)? {
            Value::Text(text) => texts.push(text),
            _ => return Err(null()),
        }
    }
    texts.sort();
    Ok(Value::list(texts.into_iter().map(Value::Text)))
}

pub(super) fn all_true(arguments: Vec<Value>) -> Converted {
    let [list] = some(arguments)?;
    let values =
        elements(list)?.into_iter().map(|item| convert::bool(item.value)).collect::<Result<Vec<_>, _>>()?;
    Ok(Value::Bool(values.iter().all(|value| *value == Value::Bool(true))))
}

pub(super) fn any_true(arguments: Vec<Value>) -> Converted {
    let [list] = some(arguments)?;
    let values =
        elements(list)?.into_iter().map(|item| convert::bool(item.value)).collect::<Result<Vec<_>, _>>()?;
    Ok(Value::Bool(values.contains(&Value::Bool(true))))
}

fn wholes(arguments: Vec<Value>) -> Result<Vec<i64>, Fault> {
    let whole = |value| match convert::number(value)? {
        Value::Whole(whole) => Ok(whole),
        Value::Null => Err(null()),
        _ => Err(convert::fraction()),
    };
    arguments.into_iter().map(whole).collect()
}

pub(super) fn max(arguments: Vec<Value>) -> Converted {
    wholes(arguments)?.into_iter().max().map(Value::Whole).ok_or_else(null)
}

pub(super) fn min(arguments: Vec<Value>) -> Converted {
    wholes(arguments)?.into_iter().min().map(Value::Whole).ok_or_else(null)
}

pub(super) fn to_bool(arguments: Vec<Value>) -> Converted {
    let [value] = some(arguments)?;
    convert::bool(value)
}

pub(super) fn to_number(arguments: Vec<Value>) -> Converted {
    let [value] = some(arguments)?;
    convert::number(value)
}

pub(super) fn to_list(arguments: Vec<Value>) -> Converted {
    let [value] = some(arguments)?;
    if value == Value::Null {
        return Ok(value);
    }
    convert::of_one_type(elements(value)?).map(Value::List)
}

pub(super) fn to_map(arguments: Vec<Value>) -> Converted {
    let [value] = some(arguments)?;
    let Value::Object(object) = value else {
        return if value == Value::Null {
            Ok(value)
        } else {
            Err(Fault::Terraform("it takes an object".to_owned()))
        };
    };
    let (keys, items): (Vec<_>, Vec<_>) = object.into_iter().unzip();
    Ok(Value::Object(keys.into_iter().zip(convert::of_one_type(items)?).collect()))
}

pub(super) fn to_set(arguments: Vec<Value>) -> Converted {
    let [value] = some(arguments)?;
    set(value)
}

/// A set of strings; the order of other sets is not documented.
pub(in crate::terraform) fn set(value: Value) -> Converted {
    if matches!(value, Value::Null | Value::Set(_) | Value::Unknown(_)) {
        return Ok(value);
    }
    let mut set = BTreeSet::new();
    for item in convert::of_one_type(elements(value)?)? {
        match item.value {
            Value::Text(text) => {
                set.insert(text);
            }
            _ => return Err(Fault::NotEvaluated("sets are evaluated of strings only".to_owned())),
        }
    }
    Ok(Value::Set(set))
}
