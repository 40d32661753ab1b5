//! Where the tools and the builds are: what `setup.sh` exported, and what cargo and `build-edge.sh` made.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The root of the checkout that this was built from.
pub fn checkout() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The value of a variable that `setup.sh` exports.
pub fn exported(variable: &str) -> Result<PathBuf> {
    let value = std::env::var_os(variable).filter(|value| !value.is_empty());
    let value = value
        .with_context(|| format!("{variable} is not set; use `make run` or `make test`, which set it"))?;
    Ok(PathBuf::from(value))
}

/// The folder of the packed Worker.
pub fn edge_build() -> Result<PathBuf> {
    let build = checkout().join("edge-ingest/build");
    ensure!(build.join("index.js").exists(), "the Worker is not built; run `make build`");
    Ok(build.canonicalize()?)
}

/// A binary of this workspace, of the profile that the caller was built with.
pub fn binary(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    // A test's binary lies one folder deeper, in deps/.
    let found = this.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.exists());
    found.with_context(|| format!("{name} is not built; run `make build`"))
}
