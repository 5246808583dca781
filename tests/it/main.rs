//! Behaviour that a person can see, and the shape of the source tree: one binary, linked once.

mod contract;
mod demo;
mod tidy;
