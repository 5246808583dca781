//! Samples to evidence to abort; readings to verdict.
