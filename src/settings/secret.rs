//! Secrets: where they are, and a type that never prints them.

use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// Longest secret that is read: a private key of 16,384 bits has 13 KiB.
const LENGTH_MAX: u64 = 64 * 1024;

/// A secret. Prints as `[secret]`, is wiped when dropped, and is shown only where it is used.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a secret that was read.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }
    /// The secret itself. Never to be logged, shown or journalled.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `…File`: a file that only its owner may read.
    File(PathBuf),
    /// `…Env`: an environment variable.
    Env(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the secret file {}", path.display()),
            Self::Env(name) => write!(f, "the environment variable {name}"),
        }
    }
}

/// Why a secret can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file or variable can't be read.
    #[error("{place} can't be read: {why}")]
    Read {
        /// Where.
        place: Place,
        /// Why.
        why: String,
    },
    /// Others could read it too.
    #[error("{place} can be read by others (mode {mode:03o})")]
    Open {
        /// Where.
        place: Place,
        /// Its permission bits.
        mode: u32,
    },
    /// There is nothing in it.
    #[error("{place} is empty")]
    Empty {
        /// Where.
        place: Place,
    },
}

impl SecretError {
    /// How to mend it.
    pub fn help(&self) -> String {
        match self {
            Self::Read {
                place: Place::File(path),
                ..
            } => {
                format!(
                    "create {} with the secret in it, readable by the operator's user",
                    path.display()
                )
            }
            Self::Read {
                place: Place::Env(name),
                ..
            } => format!("set {name} where the operator is started"),
            Self::Open { place, .. } => match place {
                Place::File(path) => format!(
                    "run `chmod 600 {}`, and change the secret if others may have read it",
                    path.display()
                ),
                Place::Env(_) => String::new(),
            },
            Self::Empty { .. } => "write the secret into it; a line feed at its end is ignored".to_owned(),
        }
    }
}

type Cached = Option<((Option<SystemTime>, u64), Secret)>;

/// A secret by its place, read again when the file changes. Clones share what was read.
#[derive(Clone)]
pub struct SecretPlace {
    place: Place,
    read: Arc<Mutex<Cached>>,
}

impl fmt::Debug for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretPlace({})", self.place)
    }
}

impl SecretPlace {
    /// A secret at this place, not read yet.
    pub fn new(place: Place) -> Self {
        Self {
            place,
            read: Arc::default(),
        }
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The secret as it is now. White space at its end is no part of it.
    ///
    /// A file is looked at every time and read when its time or size has changed, so that rotating a
    /// secret needs no restart.
    ///
    /// # Errors
    ///
    /// When it can't be read, can be read by others, or is empty.
    pub fn get(&self) -> Result<Secret, SecretError> {
        let failed = |why: String| SecretError::Read {
            place: self.place.clone(),
            why,
        };
        let path = match &self.place {
            Place::Env(name) => {
                let text = std::env::var(name).map_err(|e| match e {
                    std::env::VarError::NotPresent => failed("it is not set".to_owned()),
                    // The error itself would print the value.
                    std::env::VarError::NotUnicode(_) => failed("it is not UTF-8".to_owned()),
                })?;
                return self.trimmed(&text);
            }
            Place::File(path) => path,
        };
        let meta = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?;
        if !meta.is_file() || meta.len() > LENGTH_MAX {
            return Err(failed("it is not a file of at most 64 KiB".to_owned()));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = meta.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(SecretError::Open {
                    place: self.place.clone(),
                    mode,
                });
            }
        }
        let stamp = (meta.modified().ok(), meta.len());
        let mut held = self
            .read
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, secret)) = held
            .as_ref()
            .filter(|(seen, _)| *seen == stamp && stamp.0.is_some())
        {
            return Ok(secret.clone());
        }
        let bytes = std::fs::read(path).map_err(|e| failed(e.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8".to_owned()))?;
        let secret = self.trimmed(&text)?;
        *held = Some((stamp, secret.clone()));
        Ok(secret)
    }

    fn trimmed(&self, text: &str) -> Result<Secret, SecretError> {
        match text.trim_end() {
            "" => Err(SecretError::Empty {
                place: self.place.clone(),
            }),
            text => Ok(Secret::new(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {:#?}", Some(&secret))
                .matches("hunter2")
                .count(),
            0
        );
        let (_folder, path) = file("hunter2", 0o600);
        let place = SecretPlace::new(Place::File(path));
        place.get().unwrap();
        assert!(!format!("{place:?}").contains("hunter2"));
    }

    #[test]
    fn a_line_feed_at_the_end_is_no_part_of_it() {
        let (_folder, path) = file("hunter2\n", 0o400);
        assert_eq!(
            SecretPlace::new(Place::File(path)).get().unwrap().expose(),
            "hunter2"
        );
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        for mode in [0o644, 0o640, 0o604, 0o602] {
            let (_folder, path) = file("hunter2", mode);
            let error = SecretPlace::new(Place::File(path)).get().unwrap_err();
            assert!(matches!(error, SecretError::Open { .. }), "{mode:o}");
            assert!(error.help().starts_with("run `chmod 600 "));
        }
    }

    #[test]
    fn empty_and_missing_ones_are_refused() {
        let (_folder, path) = file(" \n", 0o600);
        assert!(matches!(
            SecretPlace::new(Place::File(path)).get(),
            Err(SecretError::Empty { .. })
        ));
        let missing = SecretPlace::new(Place::Env("HEARTBREAK_TEST_NOT_SET".into()));
        assert!(missing.get().unwrap_err().to_string().contains("it is not set"));
    }

    #[test]
    fn a_rotated_file_is_read_again() {
        let (_folder, path) = file("old", 0o600);
        let place = SecretPlace::new(Place::File(path.clone()));
        assert_eq!(place.get().unwrap().expose(), "old");
        std::fs::write(&path, "newer").unwrap();
        assert_eq!(place.get().unwrap().expose(), "newer");
    }
}
