//! Adapter: the journal.
