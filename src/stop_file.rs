//! The halt file on disk: `touch` it and nothing more is sent.

use crate::ports::stop_file::StopFile;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// More of a reason than this is cut off.
const MOST: u64 = 4096;

/// The halt file at a path. Read afresh each time, so that nothing but the file decides.
#[derive(Clone, Debug)]
pub struct FileStop {
    path: PathBuf,
}

impl FileStop {
    /// The halt file at this path; need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is, or would be.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl StopFile for FileStop {
    fn read(&self) -> Result<Option<String>, String> {
        let unknown = |error: std::io::Error| {
            format!(
                "the halt file {} can't be read ({error}), so whether it asks for a halt is not known and \
                 counts as yes: nothing is sent; make it readable for this user, or remove it",
                self.path.display()
            )
        };
        match std::fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unknown(error)),
            // A pipe without a writer would keep us waiting for ever, and a link that leads nowhere
            // would read as missing. Somebody put something there: that is a halt.
            Ok(about) if !about.is_file() => {
                let target = std::fs::metadata(&self.path);
                if !target.is_ok_and(|target| target.is_file()) {
                    return Ok(Some(format!(
                        "{} is there, though not as a file",
                        self.path.display()
                    )));
                }
            }
            Ok(_) => {}
        }
        let file = match std::fs::File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(unknown)?,
        };
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes).map_err(unknown)?;
        let text = String::from_utf8_lossy(&bytes);
        // A cut may fall inside a character; what is left of it is not part of the reason.
        let reason = text.trim_end_matches('\u{fffd}').trim();
        Ok(Some(if reason.is_empty() {
            "no reason given".to_owned()
        } else {
            reason.to_owned()
        }))
    }

    fn remove(&self) -> Result<(), String> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(format!(
                "the halt file {} can't be removed ({error}), so the halt stays; remove it by hand",
                self.path.display()
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop() -> (tempfile::TempDir, FileStop) {
        let folder = tempfile::tempdir().unwrap();
        let stop = FileStop::new(folder.path().join("HALT"));
        (folder, stop)
    }

    #[test]
    fn a_missing_file_is_no_halt() {
        let (_folder, stop) = stop();
        assert_eq!(stop.read(), Ok(None));
        assert_eq!(stop.remove(), Ok(()));
    }

    #[test]
    fn the_text_is_the_reason_and_an_empty_file_halts_too() {
        #[track_caller]
        fn check(text: &[u8], expected: &str) {
            let (_folder, stop) = stop();
            std::fs::write(stop.path(), text).unwrap();
            assert_eq!(stop.read(), Ok(Some(expected.to_owned())));
        }
        check(b"database is on fire\n", "database is on fire");
        check(b"", "no reason given");
        check(b" \n\t", "no reason given");
        check(b"\xff", "no reason given");
    }

    #[test]
    fn a_long_reason_is_cut() {
        let (_folder, stop) = stop();
        std::fs::write(stop.path(), "x".repeat(100_000)).unwrap();
        assert_eq!(stop.read().unwrap().unwrap().len(), 4096);
    }

    #[test]
    fn what_cannot_be_read_is_never_no_halt() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(
            FileStop::new(folder.path().join("file/HALT"))
                .read()
                .unwrap_err()
                .contains("counts as yes")
        );
    }

    #[test]
    fn something_else_in_its_place_halts() {
        let (_folder, stop) = stop();
        std::fs::create_dir(stop.path()).unwrap();
        assert!(stop.read().unwrap().unwrap().contains("not as a file"));
        assert!(stop.remove().unwrap_err().contains("by hand"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_nowhere_halts_and_one_to_a_file_is_read() {
        let (folder, stop) = stop();
        std::os::unix::fs::symlink(folder.path().join("target"), stop.path()).unwrap();
        assert!(stop.read().unwrap().is_some());
        std::fs::write(folder.path().join("target"), "why").unwrap();
        assert_eq!(stop.read(), Ok(Some("why".to_owned())));
    }

    #[test]
    fn removing_it_ends_the_halt() {
        let (_folder, stop) = stop();
        std::fs::write(stop.path(), "why").unwrap();
        assert_eq!(stop.remove(), Ok(()));
        assert_eq!(stop.read(), Ok(None));
    }
}
