//! PostgreSQL, by topic: `connection` (sessions, transactions, what the table offers), `listing` (pages, filters and words
//! in SQL, plans), `aggregate`, `history`, `scan` (the rows of a verification), `schema` and its `migrations`, `writer`;
//! `private` is the private server's and `bench` the benchmarks' business. `query`, `budget` and `error` are what all of them share;
//! no two files import each other in a circle (tests/it/layers.rs).
//!
//! Every function that reads events takes an [`crate::domain::OrgScope`] (or a [`query::Query`] that holds one), and
//! every value goes as a bind parameter. Readers hold a [`ReadDb`], whose sessions the server itself keeps read-only;
//! only the writing commands hold a [`WriteDb`].

pub mod aggregate;
pub mod bench;
mod budget;
pub mod cache;
pub mod connection;
mod error;
pub mod health;
pub mod history;
pub mod listing;
mod migrations;
pub mod private;
pub mod query;
mod remedies;
mod row;
pub mod scan;
pub mod schema;
pub mod writer;

pub(crate) use budget::within;
pub use connection::facts::{Lag, ServerFacts, Standing};
pub use connection::{ReadDb, ReadSettings, Relation, Shape, WriteDb, WriteSettings, WriteTarget};
pub use error::StoreError;
use error::{in_a_line, said};
pub use migrations::vector::AlteredVector;
pub use row::StoredEvent;
