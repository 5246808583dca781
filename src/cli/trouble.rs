//! What went wrong, for a person and for a script.

use crate::exit::Exit;
use std::fmt;

/// Why a command could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What a script sees.
    pub exit: Exit,
    /// What is wrong, what to do, what did not happen. May have several lines.
    pub text: String,
}

impl Trouble {
    /// Trouble with its exit code.
    pub fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self {
            exit,
            text: text.into(),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Trouble {}
