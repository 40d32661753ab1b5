//! Terraform's functions, as far as rules are written with them: <https://developer.hashicorp.com/terraform/language/functions>

use hcl::eval::{Context, FuncArgs, FuncDef, ParamType};
use hcl::{Map, Value};
use regex::Regex;

/// Makes them known.
pub(super) fn declare(context: &mut Context<'_>) {
    use ParamType::{Any, String as Text};
    let list = || ParamType::array_of(Any);
    context.declare_func("concat", FuncDef::builder().variadic_param(list()).build(concat));
    context.declare_func("flatten", FuncDef::new(flatten, [list()]));
    context.declare_func("compact", FuncDef::new(compact, [list()]));
    context.declare_func("contains", FuncDef::new(contains, [list(), Any]));
    context.declare_func("length", FuncDef::new(length, [Any]));
    context.declare_func("join", FuncDef::new(join, [Text, list()]));
    context.declare_func("coalesce", FuncDef::builder().variadic_param(Any).build(coalesce));
    context.declare_func("merge", FuncDef::builder().variadic_param(ParamType::object_of(Any)).build(merge));
    context.declare_func("lookup", FuncDef::new(lookup, [ParamType::object_of(Any), Text, Any]));
    context.declare_func("tostring", FuncDef::new(to_string, [Any]));
    for same in ["tolist", "toset", "tomap", "tonumber"] {
        context.declare_func(same, FuncDef::new(first, [Any]));
    }
    context.declare_func("jsonencode", FuncDef::new(json, [Any]));
    context.declare_func("lower", FuncDef::new(lower, [Text]));
    context.declare_func("replace", FuncDef::new(replace, [Text, Text, Text]));
    context.declare_func("startswith", FuncDef::new(starts_with, [Text, Text]));
    context.declare_func("endswith", FuncDef::new(ends_with, [Text, Text]));
    context.declare_func("regex", FuncDef::new(regex, [Text, Text]));
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn concat(args: FuncArgs) -> Result<Value, String> {
    Ok(args.iter().flat_map(items).cloned().collect::<Vec<_>>().into())
}

fn flatten(args: FuncArgs) -> Result<Value, String> {
    fn flat(value: &Value, into: &mut Vec<Value>) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| flat(value, into)),
            other => into.push(other.clone()),
        }
    }
    let mut all = Vec::new();
    flat(&args[0], &mut all);
    Ok(all.into())
}

fn compact(args: FuncArgs) -> Result<Value, String> {
    let full = items(&args[0]).iter().filter(|value| !value.is_null() && value.as_str() != Some(""));
    Ok(full.cloned().collect::<Vec<_>>().into())
}

fn contains(args: FuncArgs) -> Result<Value, String> {
    Ok(items(&args[0]).contains(&args[1]).into())
}

fn length(args: FuncArgs) -> Result<Value, String> {
    match &args[0] {
        Value::Array(values) => Ok(values.len().into()),
        Value::Object(object) => Ok(object.len().into()),
        Value::String(text) => Ok(text.chars().count().into()),
        other => Err(format!("{other} has no length")),
    }
}

fn join(args: FuncArgs) -> Result<Value, String> {
    Ok(items(&args[1]).iter().map(written).collect::<Vec<_>>().join(text(&args[0])).into())
}

fn coalesce(args: FuncArgs) -> Result<Value, String> {
    let found = args.iter().find(|value| !value.is_null() && value.as_str() != Some(""));
    found.cloned().ok_or_else(|| "no non-null, non-empty-string arguments".to_owned())
}

fn merge(args: FuncArgs) -> Result<Value, String> {
    let mut merged = Map::new();
    for object in args.iter().filter_map(Value::as_object) {
        merged.extend(object.clone());
    }
    Ok(Value::Object(merged))
}

fn lookup(args: FuncArgs) -> Result<Value, String> {
    Ok(args[0].as_object().and_then(|object| object.get(text(&args[1]))).unwrap_or(&args[2]).clone())
}

fn to_string(args: FuncArgs) -> Result<Value, String> {
    Ok(if args[0].is_null() { Value::Null } else { written(&args[0]).into() })
}

fn first(args: FuncArgs) -> Result<Value, String> {
    Ok(args[0].clone())
}

fn json(args: FuncArgs) -> Result<Value, String> {
    serde_json::to_string(&args[0]).map(Value::from).map_err(|error| error.to_string())
}

fn lower(args: FuncArgs) -> Result<Value, String> {
    Ok(text(&args[0]).to_lowercase().into())
}

fn replace(args: FuncArgs) -> Result<Value, String> {
    Ok(text(&args[0]).replace(text(&args[1]), text(&args[2])).into())
}

fn starts_with(args: FuncArgs) -> Result<Value, String> {
    Ok(text(&args[0]).starts_with(text(&args[1])).into())
}

fn ends_with(args: FuncArgs) -> Result<Value, String> {
    Ok(text(&args[0]).ends_with(text(&args[1])).into())
}

/// The whole match; groups are not asked for.
fn regex(args: FuncArgs) -> Result<Value, String> {
    let pattern = Regex::new(text(&args[0])).map_err(|error| error.to_string())?;
    let found = pattern.find(text(&args[1]));
    found
        .map(|found| found.as_str().into())
        .ok_or_else(|| "pattern did not match any part of the given string".to_owned())
}

fn written(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
