//! One integration binary: real PostgreSQL, the real program, the real terminal protocol.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the lints know #[test] functions, not the helpers that those share"
)]

mod support;

mod answers;
mod bombs;
mod cancel;
mod cli_read;
mod collation;
mod config;
mod connections;
mod console;
mod db;
mod demo;
mod diff;
mod filter_oracle;
mod ghosts;
mod ingest;
mod integrity_filter;
mod layers;
mod layouts;
mod oracle;
mod plans;
mod pty;
mod replica;
mod roles;
mod search;
mod seed;
mod server;
mod shapes;
mod tenants;
mod timeline;
mod verify;
mod verify_resume;
mod versions;
mod writer;
