//! One integration binary: real PostgreSQL, the real program, the real terminal protocol.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    reason = "the lints know #[test] functions, not the helpers that those share"
)]

mod support;
mod table_shapes;

mod activity;
mod answers;
mod audit_writer;
mod bombs;
mod cancel;
mod case;
mod cli_read;
mod collation;
mod compatibility;
mod config;
mod connections;
mod conninfo;
mod console;
mod db;
mod demo;
mod diff;
mod doctor;
mod evidence;
mod export;
mod filter_oracle;
mod first_contact;
mod ghosts;
mod handover;
mod heads;
mod ingest;
mod ingest_ack;
mod ingest_follow;
mod integrity_filter;
mod investigation;
mod layers;
mod layouts;
mod limits;
mod lineage;
mod malice;
mod memory;
mod network;
mod oracle;
mod outputs;
mod parts;
mod plans;
mod pty;
mod pulse;
mod readers;
mod replica;
mod restore;
mod roles;
mod scenario_evidence;
mod scenarios;
mod schemes;
mod search;
mod seed;
mod server;
mod shapes;
mod stamp;
mod tamper;
mod tenants;
mod timeline;
mod trust;
mod upgrade;
mod vector;
mod verify;
mod verify_resume;
mod versions;
mod writer;
mod writing;
