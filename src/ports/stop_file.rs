//! The halt file: a stop that works when everything else has failed.

/// Reads and removes the halt file. Its text is the reason.
pub trait StopFile: Send + Sync {
    /// `Ok(Some(reason))` when it is there.
    ///
    /// # Errors
    ///
    /// A sentence when that can't be known: counts as there.
    fn read(&self) -> Result<Option<String>, String>;
    /// Removes it.
    ///
    /// # Errors
    ///
    /// A sentence.
    fn remove(&self) -> Result<(), String>;
}
