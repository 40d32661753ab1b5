//! How far a replay has come, in a file.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use spillway_proto::{Sha256Digest, TenantId};

use super::in_flight::Done;
use super::selection::{Selection, Which};

/// Another version of this file would be read wrongly.
const VERSION: u32 = 1;

/// What makes a replay this one and no other, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Where the objects are read from.
    pub source: String,
    /// Where their spans go.
    pub target: String,
    /// `--from`.
    pub from: Option<String>,
    /// `--to`.
    pub to: Option<String>,
    /// `--tenant`.
    pub tenants: BTreeSet<TenantId>,
    /// `--prefix`.
    pub prefix: Option<String>,
    /// The digest of each `--object`.
    pub objects: Option<Sha256Digest>,
    /// `--force`.
    pub force: bool,
}

impl Identity {
    /// What is not the same in the other, by the options' names.
    fn differences(&self, other: &Self) -> Vec<&'static str> {
        let fields = [
            ("the source", self.source != other.source),
            ("the target", self.target != other.target),
            ("--from", self.from != other.from),
            ("--to", self.to != other.to),
            ("--tenant", self.tenants != other.tenants),
            ("--prefix", self.prefix != other.prefix),
            ("--object", self.objects != other.objects),
            ("--force", self.force != other.force),
        ];
        fields.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
    }
}

/// A checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It is of a replay that was asked for otherwise.
    #[error(
        "the checkpoint {path} is of another replay: {} differs; call that one as before, or name another file",
        .differences.join(", ")
    )]
    OfAnother {
        /// Which file.
        path: PathBuf,
        /// What differs.
        differences: Vec<&'static str>,
    },
    /// Another process has it.
    #[error("another process uses the checkpoint {0}")]
    Locked(PathBuf),
    /// It is not what was written.
    #[error("the checkpoint {path} cannot be understood: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// It is of another version of Spillway.
    #[error("the checkpoint {path} has the version {found}, this program knows {VERSION}")]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The disk failed.
    #[error("the checkpoint {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    version: u32,
    replay: Identity,
    /// As it was understood at the start: relative times are counted from then.
    selection: Which,
    done: Done,
}

/// A checkpoint that this process alone has.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    state: State,
    // Replacing the file would lose a lock on itself. Closed, and so given up, with this value.
    _lock: File,
}

impl Checkpoint {
    /// Takes up the file, or makes it, for a replay that selects so if it begins now. Waits for the disk.
    pub fn open(path: &Path, replay: &Identity, selection: &Selection) -> Result<Self, CheckpointError> {
        let io = |source| CheckpointError::Io { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let lock =
            options.create(true).truncate(false).write(true).open(beside(path, ".lock")).map_err(io)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => CheckpointError::Locked(path.to_owned()),
            TryLockError::Error(source) => io(source),
        })?;
        match fs::read(path) {
            Ok(text) => Ok(Self { path: path.to_owned(), state: read(path, &text, replay)?, _lock: lock }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let (replay, selection) = (replay.clone(), selection.which.clone());
                let state = State { version: VERSION, replay, selection, done: Done::default() };
                let checkpoint = Self { path: path.to_owned(), state, _lock: lock };
                // What cannot be written is to be known before the work begins.
                checkpoint.write()?;
                Ok(checkpoint)
            }
            Err(error) => Err(io(error)),
        }
    }

    /// What is selected, as it was understood at the start.
    pub fn selection(&self) -> Selection {
        Selection { which: self.state.selection.clone(), tenants: self.state.replay.tenants.clone() }
    }

    /// How far it has come.
    pub fn done(&self) -> &Done {
        &self.state.done
    }

    /// Notes how far it has come by now; it is on the disk when this returns. Waits for the disk.
    pub fn save(&mut self, done: &Done) -> Result<(), CheckpointError> {
        if self.state.done != *done {
            self.state.done = done.clone();
            self.write()?;
        }
        Ok(())
    }

    /// Removes the file: nothing is left to do. Waits for the disk.
    pub fn remove(self) -> Result<(), CheckpointError> {
        let io = |source| CheckpointError::Io { path: self.path.clone(), source };
        fs::remove_file(&self.path).map_err(io)?;
        fs::remove_file(beside(&self.path, ".lock")).map_err(io)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write(&self) -> Result<(), CheckpointError> {
        let write = || -> io::Result<()> {
            let new = beside(&self.path, ".new");
            let mut file = File::create(&new)?;
            serde_json::to_writer_pretty(&file, &self.state)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|source| CheckpointError::Io { path: self.path.clone(), source })
    }
}

fn read(path: &Path, text: &[u8], replay: &Identity) -> Result<State, CheckpointError> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let path = || path.to_owned();
    let unreadable = |source| CheckpointError::Unreadable { path: path(), source };
    let Version { version } = serde_json::from_slice(text).map_err(unreadable)?;
    if version != VERSION {
        return Err(CheckpointError::Version { path: path(), found: version });
    }
    let state: State = serde_json::from_slice(text).map_err(unreadable)?;
    let differences = state.replay.differences(replay);
    if differences.is_empty() {
        Ok(state)
    } else {
        Err(CheckpointError::OfAnother { path: path(), differences })
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::super::in_flight::Counts;
    use super::super::range::TimeRange;
    use super::*;
    use crate::objects::samples::object;
    use spillway_proto::UnixMillis;

    fn identity() -> Identity {
        Identity {
            source: "https://account.example/spillway".to_owned(),
            target: "http://localhost:8123/spillway".to_owned(),
            from: Some("7200s ago".to_owned()),
            to: None,
            tenants: ["acme".parse().unwrap()].into(),
            prefix: None,
            objects: None,
            force: false,
        }
    }

    fn selection(now: u64) -> Selection {
        let range = TimeRange { from: UnixMillis(now - 7_200_000), until: UnixMillis(now) };
        let which = Which::Received { range, prefix: String::new() };
        Selection { which, tenants: ["acme".parse().unwrap()].into() }
    }

    fn done() -> Done {
        Done { through: Some(object("acme", 0, 1).0), counts: Counts { unreadable: 3, ..Counts::default() } }
    }

    #[test]
    fn goes_on_where_it_was_with_the_times_of_its_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("replay.json");
        let mut checkpoint = Checkpoint::open(&path, &identity(), &selection(1_795_230_000_000)).unwrap();
        assert_eq!(checkpoint.done(), &Done::default());
        checkpoint.save(&done()).unwrap();
        drop(checkpoint);
        let checkpoint = Checkpoint::open(&path, &identity(), &selection(1_795_239_999_999)).unwrap();
        assert_eq!(checkpoint.done(), &done());
        assert_eq!(checkpoint.selection(), selection(1_795_230_000_000));
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["replay.json", "replay.json.lock"]);
        checkpoint.remove().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn another_replay_or_process_does_not_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("replay.json");
        let now = selection(1_795_230_000_000);
        let held = Checkpoint::open(&path, &identity(), &now).unwrap();
        let error = Checkpoint::open(&path, &identity(), &now).unwrap_err();
        assert!(matches!(error, CheckpointError::Locked(_)), "{error}");
        drop(held);
        let other = Identity { target: "elsewhere".to_owned(), from: None, ..identity() };
        let error = Checkpoint::open(&path, &other, &now).unwrap_err().to_string();
        assert!(error.contains("the target, --from differs"), "{error}");
    }

    #[test]
    fn what_cannot_be_read_or_written_is_an_error_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("replay.json");
        for (text, named) in
            [("", "understood"), ("{\"version\": 2}", "version 2"), ("{\"version\": 1}", "replay")]
        {
            fs::write(&path, text).unwrap();
            let error = Checkpoint::open(&path, &identity(), &selection(1_795_230_000_000)).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let nowhere = folder.path().join("nowhere/replay.json");
        let error = Checkpoint::open(&nowhere, &identity(), &selection(1_795_230_000_000)).unwrap_err();
        assert!(matches!(error, CheckpointError::Io { .. }), "{error}");
    }
}
