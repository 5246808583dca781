//! Adapter: reports.
