//! The state folder: journal, halt file, token, seed, reports.

use crate::cli::trouble::Trouble;
use crate::exit::Exit;
use crate::model::plan::hex;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The paths in the state folder.
#[derive(Clone, Debug)]
pub struct StateDir(pub PathBuf);

impl StateDir {
    /// Makes the folder if it is not there; only its owner may look into it.
    pub fn make(path: &Path) -> Result<Self, Trouble> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| {
                Trouble::new(
                    Exit::State,
                    format!(
                        "the state folder {} can't be made: {error}; nothing was started",
                        path.display()
                    ),
                )
            })?;
        Ok(Self(path.to_owned()))
    }
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal.db")
    }
    pub fn halt(&self) -> PathBuf {
        self.0.join("halt")
    }
    pub fn reports(&self) -> PathBuf {
        self.0.join("reports")
    }

    /// The seed, where an operator has made one; never makes one itself.
    ///
    /// # Errors
    ///
    /// A sentence: there is none, or it can't be read here.
    pub fn seed_that_is_there(&self) -> Result<String, String> {
        let path = self.0.join("seed");
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().len() >= 32 => Ok(text.trim().to_owned()),
            Ok(_) => Err(format!("{} holds no seed.", path.display())),
            Err(error) => Err(format!("{} can't be read: {error}.", path.display())),
        }
    }

    /// The secret in this file; made of 32 random bytes, for its owner only, when it is not there.
    pub fn secret(&self, name: &str) -> Result<String, Trouble> {
        let path = self.0.join(name);
        let trouble = |what: &str, why: String| {
            Trouble::new(
                Exit::State,
                format!("{} can't be {what}: {why}; nothing was started", path.display()),
            )
        };
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().len() >= 32 => return Ok(text.trim().to_owned()),
            Ok(_) => {
                return Err(trouble(
                    "used",
                    "it holds fewer than 32 characters; remove it and a new one is made".into(),
                ));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(trouble("read", error.to_string())),
        }
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes).map_err(|error| trouble("made", error.to_string()))?;
        let secret = hex(&bytes);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| trouble("made", error.to_string()))?;
        writeln!(file, "{secret}")
            .and_then(|()| file.sync_all())
            .map_err(|error| trouble("written", error.to_string()))?;
        Ok(secret)
    }
}
