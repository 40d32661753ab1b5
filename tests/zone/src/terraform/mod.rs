//! What a folder of Terraform says of a zone. The language is read by `hcl-rs`; here is what it leaves to Terraform: variables with
//! defaults and validations, locals, the functions that such files use, and preconditions.

mod evaluate;
mod functions;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hcl::structure::Block;
use hcl::{Body, Value};

use crate::route::Route;
use crate::ruleset::Ruleset;
use evaluate::Scope;

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Module {
    /// The resources `cloudflare_ruleset`.
    pub rulesets: Vec<Ruleset>,
    /// The resources `cloudflare_workers_route`.
    pub routes: Vec<Route>,
    /// The variable `zone_name`, if there is one.
    pub zone_name: Option<String>,
    /// All locals that do not depend on what only Cloudflare knows.
    pub locals: BTreeMap<String, Value>,
}

/// Terraform that cannot be read, or that Terraform would refuse.
#[derive(Debug, thiserror::Error)]
pub enum TerraformError {
    /// A file cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// A file is not HCL.
    #[error("{0}: {1}")]
    Syntax(PathBuf, hcl::Error),
    /// A variable has no value.
    #[error("variable `{0}` is required")]
    Missing(String),
    /// A value was given for a variable that is not there.
    #[error("there is no variable `{0}`")]
    Unknown(String),
    /// The validation of a variable, or a precondition, does not hold.
    #[error("{0}")]
    Refused(String),
    /// An expression cannot be evaluated.
    #[error("{0}: {1}")]
    Evaluation(String, String),
}

impl Module {
    /// Reads all files `*.tf` of a folder, with values for its variables.
    ///
    /// # Errors
    ///
    /// Terraform would refuse it, or it asks for what is not known here.
    pub fn read(folder: &Path, values: &BTreeMap<String, Value>) -> Result<Self, TerraformError> {
        let body = read_all(folder)?;
        let scope = Scope::of(&body, values)?;
        let resources = |kind: &str| -> Result<Vec<&Block>, TerraformError> {
            let mut found = Vec::new();
            for block in
                body.blocks().filter(|block| block.identifier() == "resource" && label(block, 0) == kind)
            {
                if scope.is_made(block)? {
                    found.push(block);
                }
            }
            Ok(found)
        };
        let rulesets = resources("cloudflare_ruleset")?.into_iter().map(|block| {
            scope.hold_preconditions(block)?;
            scope.resource(block, &["name", "description", "kind", "phase", "rules"])
        });
        let routes = resources("cloudflare_workers_route")?
            .into_iter()
            .map(|block| scope.resource(block, &["pattern", "script"]));
        Ok(Self {
            rulesets: rulesets.collect::<Result<_, _>>()?,
            routes: routes.collect::<Result<_, _>>()?,
            zone_name: scope.variable("zone_name").and_then(|name| name.as_str().map(str::to_owned)),
            locals: scope.locals(),
        })
    }
}

/// All files as one, as Terraform takes them.
fn read_all(folder: &Path) -> Result<Body, TerraformError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| TerraformError::File(path, error)
    };
    let entries = fs::read_dir(folder).map_err(failed(folder))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    let mut paths = paths.map_err(failed(folder))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "tf"));
    paths.sort();
    let mut structures = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(failed(&path))?;
        let body: Body = hcl::parse(&text).map_err(|error| TerraformError::Syntax(path, error))?;
        structures.extend(body.into_inner());
    }
    Ok(structures.into_iter().collect())
}

fn label(block: &Block, n: usize) -> &str {
    block.labels().get(n).map_or("", |label| label.as_str())
}

#[cfg(test)]
mod tests;
