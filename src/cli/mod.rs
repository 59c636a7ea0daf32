//! The command line: one file per subcommand.

mod config;
mod context;
mod db;
mod demo;
mod events;
mod ingest;
mod out;
mod show;

pub use context::Context;
pub use out::Out;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Browse, search and verify a hash-chained audit trail in PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "agenttrace", version, about, max_term_width = 100)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// Without a command: the console.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Database to connect to, without a password (use ~/.pgpass or the environment for that)
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Profile of the configuration; `demo` is the private server
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Another database on the private server, made and migrated on demand
    #[arg(long, global = true, value_name = "NAME")]
    pub database: Option<String>,
    /// Organisation to look at
    #[arg(long, global = true, value_name = "ID")]
    pub org: Option<String>,
    /// Lift the default time window
    #[arg(long, global = true)]
    pub all_time: bool,
    /// Form of the output
    #[arg(long, global = true, value_enum)]
    pub format: Option<Format>,
    /// Colours
    #[arg(long, global = true, value_enum, default_value_t)]
    pub color: Color,
    /// Configuration file instead of the user's
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Longest time a statement may take, such as 5s or 2m
    #[arg(long, global = true, value_name = "TIME")]
    pub timeout: Option<String>,
    /// No progress and no remarks, results only
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// Form of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Ndjson,
    /// For spreadsheets; formulas are neutralised.
    Csv,
}

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Yes.
    Always,
    /// No.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A private PostgreSQL with a realistic trail and a planted incident; then the console
    Demo(demo::DemoArgs),
    /// The timeline: events that match a filter, newest first
    Events(events::EventsArgs),
    /// One event: all fields and both states
    Show(show::ShowArgs),
    /// Load audit logs from files or standard input
    Ingest(ingest::IngestArgs),
    /// The schema: migrate, status
    Db(db::DbArgs),
    /// The configuration: print, path, check
    Config(config::ConfigArgs),
}
