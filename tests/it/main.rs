//! One integration binary: real PostgreSQL, the real program, the real terminal protocol.

mod support;

mod cli_read;
mod config;
mod console;
mod db;
mod demo;
mod ingest;
mod layers;
mod oracle;
mod pty;
mod server;
mod timeline;
mod writer;
