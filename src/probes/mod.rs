//! Adapter: probes.
