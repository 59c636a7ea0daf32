//! AgentTrace: the console in which security analysts investigate a hash-chained audit trail in PostgreSQL.
//!
//! # The layering rule
//! Imports point downwards only; `tests/it/layers.rs` holds this table to the `use` lines.
//!
//! | layer | modules | may use |
//! |---|---|---|
//! | shell | `cli`, `console` | everything below (not each other; `cli` starts the console) |
//! | work | `ingest`, `verify`, `export`, `case`, `demo` | store, chain, filter, diff, domain |
//! | database | `store` | chain, filter, domain, sqlx, tokio |
//! | process | `server` | std, libc, sqlx options; nothing of ours but `error` |
//! | pure | `filter`, `diff`, `chain` | domain; no IO, no clock, no async |
//! | nouns | `domain` | std, chrono, unicode tables |
//!
//! `config` and `error` stand beside them: `config` is read by the shells, `error` is what the shells print.

pub mod case;
pub mod chain;
pub mod cli;
pub mod config;
pub mod console;
pub mod demo;
pub mod diff;
pub mod domain;
pub mod error;
pub mod export;
pub mod filter;
pub mod ingest;
pub mod server;
pub mod store;
pub mod verify;
