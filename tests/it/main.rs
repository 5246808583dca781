//! Behaviour that a person can see, and the shape of the source tree: one binary, linked once.

mod demo;
mod restarts;
mod support;
mod tidy;
