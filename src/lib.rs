//! AgentTrace: the console in which security analysts investigate a hash-chained audit trail in PostgreSQL.
#![doc = include_str!("../docs/internals/architecture.md")]

pub mod case;
pub mod chain;
pub mod cli;
pub mod config;
#[cfg(feature = "console")]
pub mod console;
#[cfg(feature = "demo")]
pub mod demo;
pub mod diff;
pub mod domain;
pub mod error;
pub mod evidence;
pub mod export;
pub mod filter;
pub mod ingest;
pub mod investigation;
pub mod server;
pub mod store;
pub mod verify;
