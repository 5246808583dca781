//! Adapter: Marathon.
