//! Programs that are named by a path or a URL.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::peer::Peer;

/// The program itself: the file that is named, or what lies at the URL, downloaded into `folder`.
pub async fn find(peer: Peer, named: &str, folder: &Path) -> Result<PathBuf> {
    let of_variable = || format!("{} is {named}", peer.variable());
    if named.starts_with("https://") || named.starts_with("http://") {
        return download(peer, named, folder).await.with_context(of_variable);
    }
    let path = Path::new(named).canonicalize().with_context(of_variable)?;
    let metadata = fs::metadata(&path).with_context(of_variable)?;
    ensure!(
        metadata.is_file() && metadata.permissions().mode() & 0o111 != 0,
        "{}, which cannot be executed",
        of_variable()
    );
    Ok(path)
}

async fn download(peer: Peer, url: &str, folder: &Path) -> Result<PathBuf> {
    eprintln!("bench-peers: downloading {}", peer.name());
    let answer = local_stack::http::client().get(url).send().await?.error_for_status()?;
    let bytes = answer.bytes().await?;
    ensure!(
        bytes.starts_with(b"\x7fELF"),
        "what lies there is no executable but perhaps an archive; unpack it"
    );
    let path = folder.join(peer.variable().to_lowercase());
    fs::write(&path, &bytes)?;
    fs::set_permissions(&path, Permissions::from_mode(0o700))?;
    Ok(path)
}
