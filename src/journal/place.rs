//! Where the journal's file stands: who else has it, and whether the file system can be trusted with it.

use crate::ports::journal::JournalError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The error with this sentence and cause.
pub(super) fn refusal(
    what: String,
    source: impl Into<Option<Box<dyn std::error::Error + Send + Sync>>>,
) -> JournalError {
    JournalError {
        what,
        source: source.into(),
    }
}

/// The exclusive lock beside the journal; held until dropped or until the process ends, however it does.
///
/// Its text is `pid N` and, once there is a journal, `journal INSTALLATION`: a journal that was there and
/// is gone is then noticed instead of begun anew.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
    /// The installation that an earlier process has noted.
    pub(super) noted: Option<String>,
}

impl Lock {
    /// Takes the lock of the journal at `journal`.
    pub(super) fn take(journal: &Path) -> Result<Self, JournalError> {
        let path = beside(journal);
        if path == journal {
            let what = format!("the journal can't be at {}: its lock goes there", path.display());
            return Err(refusal(what, None));
        }
        let trouble = |error: std::io::Error| {
            let what = format!(
                "the journal's lock {} can't be made or read ({error}); the journal was not opened; its \
                 folder must exist and be writable for this user",
                path.display()
            );
            refusal(what, Some(error.into()))
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(trouble)?;
        let locked = file.try_lock();
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(trouble)?;
        let field = |name: &str| {
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.map(str::to_owned)
        };
        match locked {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(trouble(error)),
            Err(TryLockError::WouldBlock) => {
                let holder = field("pid").map_or("another process".into(), |pid| format!("process {pid}"));
                let what = format!(
                    "{holder} has the journal {} open, and two at once would both decide; it was not opened; \
                     stop that process, or give this one a journal of its own",
                    journal.display()
                );
                return Err(refusal(what, None));
            }
        }
        let noted = field("journal");
        let mut lock = Self {
            file,
            path: path.clone(),
            noted,
        };
        lock.write().map_err(trouble)?;
        Ok(lock)
    }

    /// Notes that there is a journal of this installation.
    pub(super) fn note(&mut self, installation: &str) -> Result<(), JournalError> {
        self.noted = Some(installation.to_owned());
        self.write().map_err(|error| {
            let what = format!(
                "the journal's lock {} can't be written ({error})",
                self.path.display()
            );
            refusal(what, Some(error.into()))
        })
    }

    fn write(&mut self) -> std::io::Result<()> {
        let mut text = format!("pid {}\n", std::process::id());
        if let Some(installation) = &self.noted {
            text.push_str(&format!("journal {installation}\n"));
        }
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(text.as_bytes())?;
        self.file.set_len(text.len() as u64)?;
        self.file.sync_all()
    }
}

/// Where the lock of a journal is: `journal.db` has `journal.lock`.
pub(super) fn beside(journal: &Path) -> PathBuf {
    journal.with_extension("lock")
}

/// Refuses file systems on which SQLite's locks and write-ahead log are not reliable.
pub(super) fn refuse_network(journal: &Path) -> Result<(), JournalError> {
    #[cfg(target_os = "linux")]
    {
        let folder = match journal.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let about = rustix::fs::statfs(folder).map_err(|error| {
            let what = format!(
                "the folder {} of the journal can't be looked at ({error}); the journal was not opened; make \
                 the folder, or mend its permissions",
                folder.display()
            );
            refusal(what, Some(Box::new(std::io::Error::from(error)) as _))
        })?;
        // The kernel's magic numbers have 32 bits, in a field whose width and sign differ by machine.
        if let Some(name) = network_name(about.f_type as u32) {
            let what = format!(
                "the journal {} would be on {name}, where locks and the write-ahead log can't be relied on; it \
                 was not opened; put it on a local disk",
                journal.display()
            );
            return Err(refusal(what, None));
        }
    }
    Ok(())
}

/// File systems with a network, or an unknown program, behind them (`statfs(2)`, `linux/magic.h`).
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "asked on Linux only"))]
fn network_name(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => "SMB",
        0x6573_5546 => "FUSE",
        0x0102_1997 => "9p",
        0x00C3_6400 => "Ceph",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x0BD0_0BD0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x7375_7245 => "Coda",
        0x564C => "NCP",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        for (magic, name) in [(0x6969, "NFS"), (0xFF53_4D42, "SMB"), (0x6573_5546, "FUSE")] {
            assert_eq!(network_name(magic), Some(name));
        }
        for local in [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630] {
            assert_eq!(network_name(local), None, "{local:x}");
        }
    }

    #[test]
    fn the_second_is_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.db");
        let first = Lock::take(&journal).unwrap();
        let error = Lock::take(&journal).unwrap_err().to_string();
        assert!(
            error.contains(&format!("process {}", std::process::id())),
            "{error}"
        );
        drop(first);
        Lock::take(&journal).unwrap();
    }

    #[test]
    fn a_missing_folder_is_said() {
        let error = refuse_network(Path::new("/nowhere/at/all/journal.db"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("make the folder"), "{error}");
    }
}
