//! What benchmarks read: never a way to events for people.

pub mod activity;
pub mod words;
