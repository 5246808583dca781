//! Everything that Marathon may send, tried by libFuzzer: run by `tests/fuzz/run`.
//!
//! One program for all targets, so that it is linked once; `FUZZ` says which.

#![no_main]

use heartbreak::marathon::fuzz;
use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| match std::env::var("FUZZ").as_deref() {
    Ok("apps") => fuzz::apps,
    Ok("events") => fuzz::events,
    Ok("answers") => fuzz::answers,
    other => panic!("FUZZ must be apps, events or answers, not {other:?}"),
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| { TARGET(data) });
