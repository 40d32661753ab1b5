//! Terraform's functions that are evaluated: <https://developer.hashicorp.com/terraform/language/functions>. Each is evaluated as
//! Terraform does it, or refuses the arguments for which it would differ. `can` and `try` are with the expressions.

mod collections;
mod strings;

use super::convert::{Converted, Fault};
use crate::value::Value;

pub(super) use collections::set;

struct Function {
    name: &'static str,
    /// The fewest arguments, and the most.
    arguments: (usize, usize),
    /// What is unknown within an argument stays so in the result; otherwise the result is unknown.
    keeps_unknown: bool,
    call: fn(Vec<Value>) -> Converted,
}

const ANY: usize = usize::MAX;

/// Makes one value of several.
const fn of_values(
    name: &'static str,
    arguments: (usize, usize),
    call: fn(Vec<Value>) -> Converted,
) -> Function {
    Function { name, arguments, keeps_unknown: false, call }
}

/// Passes values on.
const fn passing(
    name: &'static str,
    arguments: (usize, usize),
    call: fn(Vec<Value>) -> Converted,
) -> Function {
    Function { name, arguments, keeps_unknown: true, call }
}

const FUNCTIONS: &[Function] = &[
    of_values("alltrue", (1, 1), collections::all_true),
    of_values("anytrue", (1, 1), collections::any_true),
    passing("coalesce", (1, ANY), collections::coalesce),
    of_values("compact", (1, 1), collections::compact),
    passing("concat", (1, ANY), collections::concat),
    of_values("contains", (2, 2), collections::contains),
    of_values("distinct", (1, 1), collections::distinct),
    passing("element", (2, 2), collections::element),
    of_values("endswith", (2, 2), strings::ends_with),
    passing("flatten", (1, 1), collections::flatten),
    of_values("format", (1, ANY), strings::format),
    of_values("formatlist", (1, ANY), strings::format_list),
    of_values("join", (2, ANY), strings::join),
    of_values("jsonencode", (1, 1), strings::json_encode),
    passing("keys", (1, 1), collections::keys),
    passing("length", (1, 1), collections::length),
    passing("lookup", (2, 3), collections::lookup),
    of_values("lower", (1, 1), strings::lower),
    of_values("max", (1, ANY), collections::max),
    passing("merge", (0, ANY), collections::merge),
    of_values("min", (1, ANY), collections::min),
    passing("one", (1, 1), collections::one),
    of_values("regex", (2, 2), strings::regex),
    of_values("replace", (3, 3), strings::replace),
    passing("reverse", (1, 1), collections::reverse),
    of_values("sort", (1, 1), collections::sort),
    of_values("split", (2, 2), strings::split),
    of_values("startswith", (2, 2), strings::starts_with),
    of_values("strcontains", (2, 2), strings::contains),
    of_values("tobool", (1, 1), collections::to_bool),
    passing("tolist", (1, 1), collections::to_list),
    passing("tomap", (1, 1), collections::to_map),
    of_values("tonumber", (1, 1), collections::to_number),
    of_values("toset", (1, 1), collections::to_set),
    of_values("tostring", (1, 1), strings::to_string),
    of_values("trimprefix", (2, 2), strings::trim_prefix),
    of_values("trimspace", (1, 1), strings::trim_space),
    of_values("trimsuffix", (2, 2), strings::trim_suffix),
    of_values("upper", (1, 1), strings::upper),
    passing("values", (1, 1), collections::values),
];

/// The result of a function.
pub(super) fn call(name: &str, arguments: Vec<Value>) -> Converted {
    let Some(function) = FUNCTIONS.iter().find(|function| function.name == name) else {
        return Err(unknown(name));
    };
    let (fewest, most) = function.arguments;
    if !(fewest..=most).contains(&arguments.len()) {
        return Err(Fault::Terraform(format!("`{name}` does not take {} arguments", arguments.len())));
    }
    let unknown = arguments.iter().find_map(|argument| match argument {
        Value::Unknown(reference) => Some(reference.as_str()),
        _ if function.keeps_unknown => None,
        other => other.unknown(),
    });
    if let Some(reference) = unknown {
        return Ok(Value::Unknown(reference.to_owned()));
    }
    (function.call)(arguments).map_err(|fault| match fault {
        Fault::Terraform(message) => Fault::Terraform(format!("`{name}`: {message}")),
        Fault::NotEvaluated(message) => Fault::NotEvaluated(format!("`{name}`: {message}")),
    })
}

/// What is said of a function that is not evaluated.
pub(super) fn unknown(name: &str) -> Fault {
    let names: Vec<_> = FUNCTIONS.iter().map(|function| function.name).chain(["can", "try"]).collect();
    Fault::NotEvaluated(format!("the function `{name}` is not evaluated; evaluated are {}", names.join(", ")))
}

/// Exactly as many arguments as the table says.
fn some<const N: usize>(arguments: Vec<Value>) -> Result<[Value; N], Fault> {
    arguments.try_into().map_err(|_| Fault::Terraform("an argument is missing".to_owned()))
}

fn null() -> Fault {
    Fault::Terraform("an argument is null".to_owned())
}
