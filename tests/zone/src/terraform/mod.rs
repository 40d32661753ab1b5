//! What a folder of Terraform says of a zone. The language is read by `hcl-edit`, which keeps every block and the place of each;
//! here is what it leaves to Terraform. A block, an argument, a function or a type is evaluated as Terraform does it, or cannot
//! change what the zone does (`tables.rs` says which and why), or is refused with file and line.

mod convert;
mod evaluate;
mod functions;
mod names;
mod reference;
mod resource;
mod scope;
mod source;
mod surroundings;
mod tables;
mod types;
pub mod values;

use std::path::{Path, PathBuf};

use crate::finding::Findings;
use crate::record::{self, Record};
use crate::route::Route;
use crate::ruleset::Ruleset;
use scope::Scope;
use source::Source;
use values::Values;

/// What was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Module {
    /// The resources `cloudflare_ruleset`.
    pub rulesets: Vec<Ruleset>,
    /// The resources `cloudflare_workers_route`.
    pub routes: Vec<Route>,
    /// Names of the zone, out of the resources `cloudflare_dns_record`.
    pub records: Vec<Record>,
}

/// Terraform that cannot be read, that Terraform would refuse, or that is not evaluated.
#[derive(Debug, thiserror::Error)]
pub enum TerraformError {
    /// A folder cannot be read.
    #[error("{0}: {1}")]
    Folder(PathBuf, std::io::Error),
    /// Everything that is refused.
    #[error(transparent)]
    Refused(#[from] Findings),
}

impl Module {
    /// Reads all files `*.tf` of a folder, with values for its variables.
    ///
    /// # Errors
    ///
    /// Terraform would refuse it, or it has something that is not evaluated and may change what the zone does.
    pub fn read(folder: &Path, values: &Values) -> Result<Self, TerraformError> {
        let mut findings = Findings::default();
        let sources = Source::folder(folder, &mut findings)?;
        let scope = Scope::of(&sources, values, &mut findings);
        for source in &sources {
            names::check(source, &scope, &mut findings);
        }
        let module = resource::evaluate(&scope, &mut findings);
        if !module.routes.is_empty() {
            record::check(&module.records, &module.routes, &mut findings);
        }
        Ok(findings.or(module)?)
    }
}

#[cfg(test)]
mod tests;
