//! The files of a folder, as Terraform finds them.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hcl_edit::Span;
use hcl_edit::parser::parse_body;
use hcl_edit::structure::Body;

use super::TerraformError;
use crate::finding::{Findings, Origin, read_text};

/// A file of Terraform.
#[derive(Debug)]
pub(super) struct Source {
    file: Arc<str>,
    text: String,
    pub(super) body: Body,
}

/// What becomes of a file or folder, by its name.
enum Role {
    Configuration,
    /// Terraform does not read it, or it says nothing of the zone.
    Other,
    Refused(&'static str),
}

impl Source {
    /// Reads a file; `None`: `findings` says why it is none of HCL.
    pub(super) fn read(path: &Path, findings: &mut Findings) -> Option<Self> {
        let text = read_text(path, findings)?;
        Self::parse(&path.display().to_string(), text, findings)
    }

    /// Reads a text; `None`: `findings` says why it is none of HCL.
    pub(super) fn parse(file: &str, text: String, findings: &mut Findings) -> Option<Self> {
        // A byte order mark says nothing.
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        match parse_body(&text) {
            Ok(body) => Some(Self { file: file.into(), text, body }),
            Err(error) => {
                let origin = Origin { file: file.into(), line: error.location().line() };
                findings.add(
                    Some(&origin),
                    "",
                    format!("this is not Terraform's language: {}", error.message()),
                );
                None
            }
        }
    }

    /// All files of a folder that Terraform reads as one module.
    pub(super) fn folder(folder: &Path, findings: &mut Findings) -> Result<Vec<Self>, TerraformError> {
        let mut sources = Vec::new();
        let paths = entries(folder)?;
        for path in &paths {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let role = if path.is_dir() { folder_role(path, &name)? } else { role(&name) };
            match role {
                Role::Configuration => sources.extend(Self::read(path, findings)),
                Role::Other => {}
                Role::Refused(why) => {
                    let origin = Origin { file: path.display().to_string().into(), line: 1 };
                    findings.add(Some(&origin), "", format!("`{name}` is not read: {why}"));
                }
            }
        }
        if sources.is_empty() && findings.count() == 0 {
            let origin = Origin { file: folder.display().to_string().into(), line: 1 };
            findings.add(Some(&origin), "", "there is no file `*.tf` in this folder");
        }
        Ok(sources)
    }

    /// Where a part of the file begins.
    pub(super) fn origin(&self, part: &impl Span) -> Origin {
        self.at(part.span())
    }

    fn at(&self, span: Option<Range<usize>>) -> Origin {
        let before = span.and_then(|span| self.text.get(..span.start)).unwrap_or_default();
        Origin { file: Arc::clone(&self.file), line: before.matches('\n').count() + 1 }
    }

    /// How a part of the file is written.
    pub(super) fn text_of(&self, part: &impl Span) -> &str {
        part.span().and_then(|span| self.text.get(span)).unwrap_or_default()
    }
}

/// What is in a folder, by its names' order.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, TerraformError> {
    let failed = |error| TerraformError::Folder(folder.to_owned(), error);
    let entries = fs::read_dir(folder).map_err(failed)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    let mut paths = paths.map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// Editors' files, which Terraform leaves out as well.
fn is_ignored(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || (name.starts_with('#') && name.ends_with('#'))
}

fn role(name: &str) -> Role {
    const OVERRIDES: &str = "override files, which replace parts of other files, are not evaluated; write the change where it belongs";
    if is_ignored(name) {
        Role::Other
    } else if name.ends_with(".tf.json") || name.ends_with(".tofu.json") {
        Role::Refused("Terraform as JSON is not evaluated; write it as a file `*.tf`")
    } else if name.ends_with(".tofu") {
        Role::Refused("OpenTofu's own files are not evaluated; write it as a file `*.tf`")
    } else if let Some(stem) = name.strip_suffix(".tf") {
        let is_override = stem == "override" || stem.ends_with("_override");
        if is_override { Role::Refused(OVERRIDES) } else { Role::Configuration }
    } else {
        // Values are read by `super::values`; tests, states and all else are no part of the configuration.
        Role::Other
    }
}

/// Terraform reads no folders within a folder but those of its modules, and modules are not evaluated.
fn folder_role(folder: &Path, name: &str) -> Result<Role, TerraformError> {
    if is_ignored(name) {
        return Ok(Role::Other);
    }
    for path in entries(folder)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let role = if path.is_dir() { folder_role(&path, &name)? } else { role(&name) };
        if !matches!(role, Role::Other) {
            return Ok(Role::Refused(
                "Terraform does not read the files `*.tf` in it as a part of this folder, and modules are not evaluated; \
                 give the folder that `terraform apply` is run in, without others below it",
            ));
        }
    }
    Ok(Role::Other)
}
