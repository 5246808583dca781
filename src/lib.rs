//! Heartbreak.
