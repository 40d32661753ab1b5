//! What lies in a folder, links followed, and what of it is not read.

use std::fs::{self, FileType, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use spillway_proto::ObjectKey;
use spillway_proto::object_key::InvalidObjectKey;

use super::FolderError;

/// How many entries that are passed over are named; the others are counted.
const MAX_NAMED: usize = 20;

/// An entry of a folder that can be read.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) is_folder: bool,
}

/// Why an entry is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Why {
    #[error("its name is not that of an object")]
    NotAnObject,
    #[error("{0}")]
    Misspelt(InvalidObjectKey),
    #[error("it lies beside the folder `v1`, and is not looked through")]
    BesideTree,
    #[error("it is not in the folder that its name asks for")]
    Misplaced,
    #[error("no object lies in a folder of this name, here")]
    NoFolderOfObjects,
    #[error("its name is not UTF-8")]
    NotUtf8,
    #[error("it is a link that cannot be followed: {0}")]
    BadLink(String),
    #[error("it is neither a file nor a folder")]
    Special,
}

impl Why {
    /// Whether it may be, or hold, what was asked for.
    fn is_a_miss(&self) -> bool {
        match self {
            Self::NotAnObject | Self::BesideTree => false,
            Self::Misspelt(_)
            | Self::Misplaced
            | Self::NoFolderOfObjects
            | Self::NotUtf8
            | Self::BadLink(_)
            | Self::Special => true,
        }
    }
}

/// The key that the file's name tells.
pub(super) fn key_of(name: &str) -> Result<ObjectKey, Why> {
    let key = ObjectKey::from_file_name(name);
    key.map_err(|error| if name.ends_with(".otlp") { Why::Misspelt(error) } else { Why::NotAnObject })
}

/// What of a folder is not read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassedOver {
    named: Vec<String>,
    count: u64,
    misses: u64,
}

impl PassedOver {
    pub(super) fn add(&mut self, path: &Path, why: &Why) {
        self.count += 1;
        self.misses += u64::from(why.is_a_miss());
        if self.named.len() < MAX_NAMED {
            self.named.push(format!("{}: {why}", path.to_string_lossy().escape_debug()));
        }
    }

    /// How many entries.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many of them may be, or hold, objects that were asked for.
    pub fn misses(&self) -> u64 {
        self.misses
    }

    /// A line for each of the first ones, and one for the others.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let others = self.count - self.named.len() as u64;
        let others = (others > 0).then(|| format!("passed over: {others} more"));
        self.named.iter().map(|named| format!("passed over: {named}")).chain(others)
    }
}

/// What lies in the folder, in no order; links stand for what they lead to.
pub(super) fn entries(path: &Path, passed_over: &mut PassedOver) -> Result<Vec<Entry>, FolderError> {
    let unreadable = |source| FolderError { path: path.to_owned(), source };
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let of_entry = entry.path();
        let kind = entry.file_type().map_err(unreadable)?;
        match (entry.file_name().into_string(), is_folder(&of_entry, kind)) {
            (Ok(name), Ok(is_folder)) => entries.push(Entry { name, is_folder }),
            (Ok(_), Err(why)) => passed_over.add(&of_entry, &why),
            (Err(_), _) => passed_over.add(&of_entry, &Why::NotUtf8),
        }
    }
    Ok(entries)
}

fn is_folder(path: &Path, kind: FileType) -> Result<bool, Why> {
    let kind = if kind.is_symlink() {
        fs::metadata(path).map_err(|error| Why::BadLink(error.to_string()))?.file_type()
    } else {
        kind
    };
    if kind.is_dir() || kind.is_file() { Ok(kind.is_dir()) } else { Err(Why::Special) }
}

/// What tells a folder from all others, by whatever links it was come to.
pub(super) fn identity(path: &Path) -> Result<(u64, u64), FolderError> {
    use std::os::unix::fs::MetadataExt;
    metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// How many bytes the file has.
pub(super) fn size(path: &Path) -> Result<u64, FolderError> {
    metadata(path).map(|metadata| metadata.len())
}

fn metadata(path: &Path) -> Result<Metadata, FolderError> {
    fs::metadata(path).map_err(|source: io::Error| FolderError { path: PathBuf::from(path), source })
}
