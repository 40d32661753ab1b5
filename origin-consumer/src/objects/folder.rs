//! A folder that objects were copied to: as a tree, as R2 has them, or as loose files that have their names. Links are followed,
//! to files and to folders.

mod entries;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use spillway_proto::ObjectKey;
use spillway_proto::object_key::ROOT;

pub use self::entries::PassedOver;
use self::entries::{Why, entries, identity, key_of, size};
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
    passed_over: PassedOver,
}

impl Folder {
    /// Looks at the folder: what has a folder `v1` is a tree; else each file below it that has the name of an object is
    /// one, whatever folder it lies in. Waits for the disk.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let layout = if path.join(ROOT).is_dir() { Layout::Tree } else { Layout::Loose(Loose::of(path)?) };
        Ok(Self { path: path.to_owned(), layout: Arc::new(layout) })
    }

    /// What is not read of the folder: of a tree, where keys would be that begin with `prefix`, are not before `first` and are before
    /// `end`. Waits for the disk.
    pub fn passed_over(&self, prefix: &str, first: &str, end: &str) -> Result<PassedOver, FolderError> {
        let Layout::Loose(loose) = &*self.layout else {
            let mut survey =
                Survey { asked: Asked { prefix, after: first }, end, passed_over: PassedOver::default() };
            survey.beside_tree(&self.path)?;
            survey.visit(&self.path, ROOT)?;
            return Ok(survey.passed_over);
        };
        Ok(loose.passed_over.clone())
    }

    /// As [`super::Objects::list`].
    pub(super) async fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Page, ObjectError> {
        let (path, layout) = (self.path.clone(), Arc::clone(&self.layout));
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        blocking(move || {
            let listing = Listing { asked: Asked { prefix: &prefix, after: &after }, limit };
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
        let (mut loose, mut seen) = (Self::default(), HashSet::new());
        let mut waiting = vec![path.to_owned()];
        while let Some(folder) = waiting.pop() {
            // Links may lead to a folder by many ways, and in a circle.
            if !seen.insert(identity(&folder)?) {
                continue;
            }
            let place = u32::try_from(loose.folders.len()).unwrap_or(u32::MAX);
            for entry in entries(&folder, &mut loose.passed_over)? {
                if entry.is_folder {
                    waiting.push(folder.join(entry.name));
                    continue;
                }
                match key_of(&entry.name) {
                    Ok(key) => loose.files.push((key, place)),
                    Err(why) => loose.passed_over.add(&folder.join(entry.name), &why),
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

/// Where keys lie that are asked for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    prefix: &'a str,
    after: &'a str,
}

impl Asked<'_> {
    /// Whether something at or below this place is asked for. A folder has a slash at its end.
    fn may_hold(&self, place: &str) -> bool {
        let is_folder = place.ends_with('/');
        let is_later = place > self.after || (is_folder && self.after.starts_with(place));
        let is_within = place.starts_with(self.prefix) || (is_folder && self.prefix.starts_with(place));
        is_later && is_within
    }
}

/// Whether keys have this folder in them: `v1/YYYY/MM/DD/HH/MM/SHARD/`, as far as it goes. So links cannot lead in a circle.
fn is_of_keys(place: &str) -> bool {
    const DIGITS: [usize; 5] = [4, 2, 2, 2, 2];
    let parts: Vec<_> = place.trim_start_matches(ROOT).trim_end_matches('/').split('/').collect();
    let is_time = |(part, digits): (&&str, &usize)| {
        part.len() >= *digits && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_shard = |part: &&str| part.len() == 1 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts.iter().zip(&DIGITS).all(is_time)
        && parts.get(DIGITS.len()).is_none_or(is_shard)
        && parts.len() <= DIGITS.len() + 1
}

/// Looks for what listings do not have.
struct Survey<'a> {
    asked: Asked<'a>,
    end: &'a str,
    passed_over: PassedOver,
}

impl Survey<'_> {
    /// Copies of dead letters, which lie there in a bucket, too, have their originals in the tree.
    fn beside_tree(&mut self, root: &Path) -> Result<(), FolderError> {
        const DEAD_LETTERS: &str = "dlq";
        for entry in entries(root, &mut self.passed_over)? {
            if entry.name != ROOT.trim_end_matches('/') && entry.name != DEAD_LETTERS {
                self.passed_over.add(&root.join(entry.name), &Why::BesideTree);
            }
        }
        Ok(())
    }

    fn visit(&mut self, root: &Path, place: &str) -> Result<(), FolderError> {
        for entry in entries(&root.join(place), &mut self.passed_over)? {
            let below = format!("{place}{}{}", entry.name, if entry.is_folder { "/" } else { "" });
            if entry.is_folder && !is_of_keys(&below) {
                self.passed_over.add(&root.join(&below), &Why::NoFolderOfObjects);
            } else if entry.is_folder && self.asked.may_hold(&below) && below.as_str() < self.end {
                self.visit(root, &below)?;
            } else if !entry.is_folder && below.parse::<ObjectKey>().is_err() {
                let why = key_of(&entry.name).err().unwrap_or(Why::Misplaced);
                self.passed_over.add(&root.join(&below), &why);
            }
        }
        Ok(())
    }
}

struct Listing<'a> {
    asked: Asked<'a>,
    limit: usize,
}

impl Listing<'_> {
    fn of_loose(&self, loose: &Loose) -> Result<Page, FolderError> {
        let Asked { prefix, after } = self.asked;
        let first = loose.files.partition_point(|(key, _)| key.to_string().as_str() <= after);
        let mut page = Page::default();
        for (at, (key, _)) in loose.files.iter().enumerate().skip(first) {
            let key = key.to_string();
            if !key.starts_with(prefix) {
                // Keys with a common prefix stand together.
                if key.as_str() > prefix {
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
        // What is passed over is for the survey to tell.
        let mut below: Vec<_> = entries(&root.join(&place), &mut PassedOver::default())?
            .into_iter()
            .map(|entry| format!("{place}{}{}", entry.name, if entry.is_folder { "/" } else { "" }))
            .filter(|place| self.asked.may_hold(place) && (!place.ends_with('/') || is_of_keys(place)))
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
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

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

    #[tokio::test]
    async fn links_to_folders_are_followed_and_never_in_a_circle() {
        let (folder, _) = folders();
        let (root, keys) = (folder.path(), objects().into_iter().map(|(key, _)| key.to_string()));
        let keys: Vec<_> = keys.collect();
        // The tree of a day lies elsewhere, as do loose files; and each holds a link to where it is linked from.
        let (tree, loose) = (root.join("linked-tree"), root.join("linked-loose"));
        fs::create_dir_all(tree.join("v1/2026")).unwrap();
        symlink(root.join("tree/v1/2026/11"), tree.join("v1/2026/11")).unwrap();
        symlink(&tree, root.join("tree/v1/2026/11/20/00/00/circle")).unwrap();
        symlink(root.join("tree/v1/2026/11"), root.join("tree/v1/2026/11/11")).unwrap();
        fs::create_dir_all(&loose).unwrap();
        for link in ["one", "two"] {
            symlink(root.join("loose"), loose.join(link)).unwrap();
        }
        symlink(&loose, root.join("loose/b/circle")).unwrap();
        for path in [&tree, &loose] {
            let objects = Objects::in_folder(Folder::open(path).unwrap(), 1 << 20);
            assert_eq!(list(&objects, "v1/", "", 3).await, keys, "{}", path.display());
            for (key, bytes) in super::tests::objects() {
                let notification = objects.describe(&key).await.unwrap();
                assert_eq!(objects.fetch(&notification).await.unwrap(), bytes);
            }
        }
    }

    fn lines(folder: &Path, prefix: &str) -> (u64, u64, String) {
        let passed_over = Folder::open(folder).unwrap().passed_over(prefix, "v1/", "v2").unwrap();
        let lines: Vec<_> = passed_over.lines().collect();
        (passed_over.count(), passed_over.misses(), lines.join("\n"))
    }

    #[test]
    fn what_is_not_read_of_a_tree_is_named() {
        let (folder, _) = folders();
        let tree = folder.path().join("tree");
        fs::create_dir_all(tree.join("dlq/v1/2026")).unwrap();
        assert_eq!(lines(&tree, ""), (0, 0, String::new()));
        let (key, bytes) = object("acme", 7 * MINUTE, 1);
        for (path, why, misses) in [
            ("README.txt".to_owned(), "beside the folder `v1`", 0),
            ("v1/README.txt".to_owned(), "not that of an object", 0),
            ("v1/2026/11/20/00/00/6/cut-12.otlp".to_owned(), "the name has not three parts", 1),
            (format!("v1/2026/{}", key.file_name()), "not in the folder that its name asks for", 1),
            (format!("v1/old/{}", key.file_name()), "no object lies in a folder of this name", 1),
        ] {
            write(tree.join(&path), &bytes);
            let (count, found, said) = lines(&tree, "");
            assert_eq!((count, found), (1, misses), "{said}");
            assert!(said.starts_with("passed over: ") && said.contains(why), "{said}");
            let named = path.split('/').take(if misses == 1 && path.contains("old") { 2 } else { 9 });
            assert!(said.contains(&named.collect::<Vec<_>>().join("/")), "{said}");
            fs::remove_file(tree.join(&path)).unwrap();
            let _ = fs::remove_dir(tree.join("v1/old"));
        }
        symlink("/nowhere", tree.join("v1/2026/11/20/00/00/gone")).unwrap();
        let (count, misses, said) = lines(&tree, "");
        assert!((count, misses) == (1, 1) && said.contains("a link that cannot be followed"), "{said}");
        assert_eq!(lines(&tree, "v1/2026/11/20/01/").0, 0, "what is not asked for is not missed");
    }

    #[test]
    fn what_is_not_read_of_loose_files_is_named_and_no_more_than_some() {
        let (folder, _) = folders();
        let loose = folder.path().join("loose");
        let (count, misses, said) = lines(&loose, "");
        assert!((count, misses) == (1, 0) && said.contains("README.txt: its name is not that of"), "{said}");
        std::os::unix::net::UnixListener::bind(loose.join("socket")).unwrap();
        symlink(loose.join("itself"), loose.join("itself")).unwrap();
        let (count, misses, said) = lines(&loose, "");
        assert_eq!((count, misses), (3, 2), "{said}");
        assert!(
            said.contains("neither a file nor a folder") && said.contains("itself: it is a link"),
            "{said}"
        );
        (0..100).for_each(|n| write(loose.join(format!("{n}.otlp.partial")), b"half"));
        let (count, _, said) = lines(&loose, "");
        assert!(
            count == 103 && said.lines().count() == 21 && said.ends_with("passed over: 83 more"),
            "{said}"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = Folder::open(Path::new("/nowhere/objects")).map(drop).unwrap_err().to_string();
        assert!(error.contains("/nowhere/objects"), "{error}");
    }
}
