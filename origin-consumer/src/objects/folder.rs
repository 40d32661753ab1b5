//! A folder that objects were copied to: as a tree, as R2 has them, or as loose files that have their names.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use spillway_proto::ObjectKey;
use spillway_proto::object_key::ROOT;

use super::{Listed, ObjectError, Page, blocking, too_large};

/// A folder cannot be looked through.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the folder {path}: {source}")]
pub struct FolderError {
    path: PathBuf,
    source: io::Error,
}

/// A folder of objects.
pub struct Folder {
    path: PathBuf,
    layout: Arc<Layout>,
}

enum Layout {
    /// Below a folder `v1`, each file in the place that its key says; looked through as far as it is asked for.
    Tree,
    /// Anywhere.
    Loose(Loose),
}

/// Files whose names alone tell their keys. Names are not kept: a million of them takes 60 MB.
#[derive(Default)]
struct Loose {
    folders: Vec<PathBuf>,
    /// In order, each with its folder's place in `folders`.
    files: Vec<(ObjectKey, u32)>,
}

impl Folder {
    /// Looks at the folder: what has a folder `v1` is a tree; else each file below it that has the name of an object is
    /// one, whatever folder it lies in. Waits for the disk.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let layout = if path.join(ROOT).is_dir() { Layout::Tree } else { Layout::Loose(Loose::of(path)?) };
        Ok(Self { path: path.to_owned(), layout: Arc::new(layout) })
    }

    /// As [`super::Objects::list`].
    pub(super) async fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Page, ObjectError> {
        let (path, layout) = (self.path.clone(), Arc::clone(&self.layout));
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        blocking(move || {
            let listing = Listing { prefix: &prefix, after: &after, limit };
            let page = match &*layout {
                Layout::Tree => listing.of_tree(&path),
                Layout::Loose(loose) => listing.of_loose(loose),
            };
            page.map_err(|error| ObjectError::Transient(error.to_string()))
        })
        .await
    }

    /// The bytes of an object that has `max_bytes` at most.
    pub(super) async fn read(&self, key: &ObjectKey, max_bytes: u64) -> Result<Bytes, ObjectError> {
        let missing = || ObjectError::Poison("the object is not in the folder".to_owned());
        let path = match &*self.layout {
            Layout::Tree => self.path.join(key.to_string()),
            Layout::Loose(loose) => loose.path_of(key).ok_or_else(missing)?,
        };
        blocking(move || {
            let mut bytes = Vec::new();
            let read = File::open(&path).and_then(|file| file.take(max_bytes + 1).read_to_end(&mut bytes));
            match read {
                Ok(_) if bytes.len() as u64 > max_bytes => Err(too_large(max_bytes)),
                Ok(_) => Ok(bytes.into()),
                Err(error) if error.kind() == ErrorKind::NotFound => Err(missing()),
                Err(error) => Err(ObjectError::Transient(format!("{}: {error}", path.display()))),
            }
        })
        .await
    }
}

impl Loose {
    fn of(path: &Path) -> Result<Self, FolderError> {
        let mut loose = Self::default();
        let mut waiting = vec![path.to_owned()];
        while let Some(folder) = waiting.pop() {
            let place = u32::try_from(loose.folders.len()).unwrap_or(u32::MAX);
            for entry in entries(&folder)? {
                if entry.is_folder {
                    waiting.push(folder.join(entry.name));
                } else if let Ok(key) = ObjectKey::from_file_name(&entry.name) {
                    loose.files.push((key, place));
                }
            }
            loose.folders.push(folder);
        }
        loose.files.sort_unstable();
        loose.files.dedup_by(|(one, _), (other, _)| one == other);
        Ok(loose)
    }

    fn path_of(&self, key: &ObjectKey) -> Option<PathBuf> {
        let at = self.files.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
        self.path_at(at)
    }

    fn path_at(&self, at: usize) -> Option<PathBuf> {
        let (key, folder) = self.files.get(at)?;
        Some(self.folders.get(*folder as usize)?.join(key.file_name()))
    }
}

struct Entry {
    name: String,
    is_folder: bool,
}

/// What lies in a folder, less what has no name in UTF-8.
fn entries(path: &Path) -> Result<Vec<Entry>, FolderError> {
    let read = || -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(Entry { name, is_folder: entry.file_type()?.is_dir() });
            }
        }
        Ok(entries)
    };
    read().map_err(|source| FolderError { path: path.to_owned(), source })
}

fn size(path: &Path) -> Result<u64, FolderError> {
    let metadata = fs::metadata(path).map_err(|source| FolderError { path: path.to_owned(), source })?;
    Ok(metadata.len())
}

struct Listing<'a> {
    prefix: &'a str,
    after: &'a str,
    limit: usize,
}

impl Listing<'_> {
    fn of_loose(&self, loose: &Loose) -> Result<Page, FolderError> {
        let first = loose.files.partition_point(|(key, _)| key.to_string().as_str() <= self.after);
        let mut page = Page::default();
        for (at, (key, _)) in loose.files.iter().enumerate().skip(first) {
            let key = key.to_string();
            if !key.starts_with(self.prefix) {
                // Keys with a common prefix stand together.
                if key.as_str() > self.prefix {
                    break;
                }
                continue;
            }
            if page.objects.len() == self.limit {
                page.more = true;
                break;
            }
            let path = loose.path_at(at).unwrap_or_default();
            page.objects.push(Listed { key, bytes: size(&path)? });
        }
        Ok(page)
    }

    fn of_tree(&self, path: &Path) -> Result<Page, FolderError> {
        let mut page = Page::default();
        self.visit(path, ROOT.to_owned(), &mut page)?;
        Ok(page)
    }

    /// Takes in what lies below `place`, the path from the root on with a slash at its end.
    fn visit(&self, root: &Path, place: String, page: &mut Page) -> Result<(), FolderError> {
        let mut below: Vec<_> = entries(&root.join(&place))?
            .into_iter()
            .map(|entry| format!("{place}{}{}", entry.name, if entry.is_folder { "/" } else { "" }))
            .filter(|place| self.may_hold(place))
            .collect();
        below.sort_unstable();
        for place in below {
            if page.more {
                break;
            } else if place.ends_with('/') {
                self.visit(root, place, page)?;
            } else if page.objects.len() == self.limit {
                page.more = true;
            } else {
                let bytes = size(&root.join(&place))?;
                page.objects.push(Listed { key: place, bytes });
            }
        }
        Ok(())
    }

    /// Whether something at or below this place is asked for.
    fn may_hold(&self, place: &str) -> bool {
        let is_folder = place.ends_with('/');
        let is_later = place > self.after || (is_folder && self.after.starts_with(place));
        let is_within = place.starts_with(self.prefix) || (is_folder && self.prefix.starts_with(place));
        is_later && is_within
    }
}

#[cfg(test)]
mod tests {
    use super::super::Objects;
    use super::super::samples::object;
    use super::*;
    use crate::time::MINUTE_MS as MINUTE;

    fn objects() -> Vec<(ObjectKey, Vec<u8>)> {
        let times = [0, 1, 2, 3, MINUTE, MINUTE + 1, 60 * MINUTE, 24 * 60 * MINUTE];
        let mut objects: Vec<_> = times.map(|at| object("acme", at, 10)).into();
        objects.sort();
        objects
    }

    fn write(path: PathBuf, bytes: &[u8]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// The same objects as a tree and as loose files of two folders.
    fn folders() -> (tempfile::TempDir, [Objects; 2]) {
        let folder = tempfile::tempdir().unwrap();
        let (tree, loose) = (folder.path().join("tree"), folder.path().join("loose"));
        for (n, (key, bytes)) in objects().iter().enumerate() {
            write(tree.join(key.to_string()), bytes);
            write(loose.join(["a", "b/c"][n % 2]).join(key.file_name()), bytes);
        }
        write(loose.join("README.txt"), b"no object");
        let open = |path| Objects::in_folder(Folder::open(path).unwrap(), 1 << 20);
        let both = [open(&tree), open(&loose)];
        (folder, both)
    }

    async fn list(objects: &Objects, prefix: &str, after: &str, limit: usize) -> Vec<String> {
        let (mut keys, mut after) = (Vec::new(), after.to_owned());
        loop {
            let page = objects.list(prefix, &after, limit).await.unwrap();
            assert!(page.objects.len() <= limit && page.objects.iter().all(|object| object.bytes > 0));
            keys.extend(page.objects.into_iter().map(|object| object.key));
            match keys.last() {
                Some(last) if page.more => after = last.clone(),
                _ => return keys,
            }
        }
    }

    #[tokio::test]
    async fn listings_are_those_of_a_bucket() {
        let (_folder, sources) = folders();
        let keys: Vec<_> = objects().iter().map(|(key, _)| key.to_string()).collect();
        for objects in &sources {
            for limit in [1, 3, 1_000] {
                assert_eq!(list(objects, "", "", limit).await, keys);
                for prefix in [&keys[0][..11], &keys[0][..20], &keys[3], "v2/", "v1/2026/11/20/00/0", "v0"] {
                    let expected: Vec<_> =
                        keys.iter().filter(|key| key.starts_with(prefix)).cloned().collect();
                    assert_eq!(list(objects, prefix, "", limit).await, expected, "{prefix}");
                }
                for after in [&keys[2], "v1/2026/11/20/00/01/", &keys[7], "v1/2026/11/21/", "v1/2"] {
                    let expected: Vec<_> = keys.iter().filter(|key| key.as_str() > after).cloned().collect();
                    assert_eq!(list(objects, "v1/", after, limit).await, expected, "{after}");
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_described_can_be_fetched() {
        let (_folder, sources) = folders();
        for source in &sources {
            for (key, bytes) in objects() {
                let notification = source.describe(&key).await.unwrap();
                assert_eq!(source.fetch(&notification).await.unwrap(), bytes);
            }
            let missing = source.describe(&object("acme", 99, 1).0).await.unwrap_err();
            assert!(missing.to_string().contains("not in the folder"), "{missing}");
        }
    }

    #[tokio::test]
    async fn a_large_object_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (key, bytes) = object("acme", 0, 1);
        write(folder.path().join(key.file_name()), &bytes);
        let bound = bytes.len() as u64 - 1;
        let objects = Objects::in_folder(Folder::open(folder.path()).unwrap(), bound);
        assert!(objects.describe(&key).await.unwrap_err().to_string().contains("larger"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = Folder::open(Path::new("/nowhere/objects")).map(drop).unwrap_err().to_string();
        assert!(error.contains("/nowhere/objects"), "{error}");
    }
}
