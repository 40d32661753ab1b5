//! Values for variables: files `*.tfvars` and `*.tfvars.json`, the environment and the command line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::TerraformError;
use super::evaluate::Frame;
use super::scope::{Scope, blocks, label};
use super::source::{Source, entries};
use crate::finding::{Findings, read_text};
use crate::json;
use crate::value::{Item, Value};

/// Values by the names of their variables.
pub type Values = BTreeMap<String, Value>;

/// The prefix of the environment variables that Terraform reads.
const ENVIRONMENT: &str = "TF_VAR_";

/// The values that Terraform takes by itself: of the environment, which names variables as `TF_VAR_NAME`, then of
/// `terraform.tfvars`, `terraform.tfvars.json` and `*.auto.tfvars` of the folder. A later one replaces an earlier one.
///
/// # Errors
///
/// A file cannot be read, or holds more than values.
pub fn automatic(
    folder: &Path,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Values, TerraformError> {
    // What is wrong with the files is told when they are read for their rules.
    let sources = Source::folder(folder, &mut Findings::default())?;
    let is_declared = |name: &str| {
        sources.iter().any(|source| blocks(&source.body, "variable").any(|block| label(block, 0) == name))
    };
    let mut values = Values::new();
    for (name, value) in environment {
        if let (Some(name), Some(value)) = (name.to_str(), value.to_str())
            && let Some(name) = name.strip_prefix(ENVIRONMENT)
            && is_declared(name)
        {
            values.insert(name.to_owned(), given(value));
        }
    }
    for file in automatic_files(folder)? {
        values.extend(of_file(&file)?);
    }
    Ok(values)
}

fn automatic_files(folder: &Path) -> Result<Vec<PathBuf>, TerraformError> {
    let entries = entries(folder)?;
    let named = |name: &'static str| entries.iter().filter(move |path| path.ends_with(name)).cloned();
    let is_automatic = |path: &&PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.ends_with(".auto.tfvars") || name.ends_with(".auto.tfvars.json")
    };
    let named = named("terraform.tfvars").chain(named("terraform.tfvars.json"));
    Ok(named.chain(entries.iter().filter(is_automatic).cloned()).collect())
}

/// A value as it is given on a command line: JSON, else text.
pub fn given(text: &str) -> Value {
    serde_json::from_str::<serde_json::Value>(text).map_or_else(|_| Value::from(text), Value::from)
}

/// The values of a file `*.tfvars` or `*.tfvars.json`.
///
/// # Errors
///
/// The file cannot be read, or holds more than values.
pub fn of_file(path: &Path) -> Result<Values, TerraformError> {
    let mut findings = Findings::default();
    let file = path.display().to_string();
    if path.extension().is_some_and(|extension| extension == "json") {
        let Some(text) = read_text(path, &mut findings) else { return Err(findings.into()) };
        return match json::read(&file, &text)? {
            Item { value: Value::Object(object), .. } => {
                Ok(object.into_iter().map(|(name, item)| (name, item.value)).collect())
            }
            Item { value, origin } => {
                findings.add(
                    origin.as_ref(),
                    "",
                    format!("this is {}; write an object of values", value.kind()),
                );
                Err(findings.into())
            }
        };
    }
    let Some(source) = Source::read(path, &mut findings) else { return Err(findings.into()) };
    let (scope, frame) = (Scope::default(), Frame::of(&source));
    let mut values = Values::new();
    for block in source.body.blocks() {
        let name = block.ident.as_str();
        let message = format!("the block `{name}` is not a value; write `{name} = ...`");
        findings.add(Some(&source.origin(block)), "", message);
    }
    for attribute in source.body.attributes() {
        match scope.evaluate(&attribute.value, &frame) {
            Ok(value) => {
                values.insert(attribute.key.as_str().to_owned(), value);
            }
            Err(trouble) => {
                let message = trouble.fault.message();
                findings.add(Some(&trouble.origin), attribute.key.as_str(), message);
            }
        }
    }
    Ok(findings.or(values)?)
}
