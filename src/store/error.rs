//! What can go wrong between us and the database, and what the server says of it.

use super::listing::cursor;

/// What can go wrong between us and the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection could be made, or it broke.
    #[error("cannot reach the database: {}", said(.0))]
    Connection(#[source] sqlx::Error),
    /// A table `audit_events` of another origin, where our schema was to be made.
    #[error(
        "this database already has a table audit_events that agenttrace did not make; it can be read and verified as it \
         is, but not migrated: choose another database for the schema of agenttrace"
    )]
    ForeignTable,
    /// None of several servers is the one that is meant; with the reason of each.
    #[error("no server is as wanted: {0}")]
    NoServer(String),
    /// The server does not speak TLS, and plain text was not allowed.
    #[error("the server does not offer an encrypted connection")]
    NotEncrypted,
    /// A pooler that gives each statement to another server.
    #[error(
        "the connection pooler works in statement mode, in which there are no transactions: nothing can be read there safely"
    )]
    StatementPooling,
    /// A pooler that gives the statements of one transaction to several servers.
    #[error(
        "the connection pooler sends the statements of one transaction to several servers: nothing can be read there safely"
    )]
    Scattered,
    /// Something before the server does not know COPY.
    #[error("COPY is not taken there (PGlite's socket does not take it): nothing was stored")]
    NoCopy,
    /// A pooler has given one session where two are needed.
    #[error(
        "one state of the database is read by two sessions here, and the connection pooler gives only one"
    )]
    OneSession,
    /// The table cannot be read as events; what is missing, and the remedy.
    #[error("{0}")]
    Unfit(String),
    /// A superuser would run code of another role by reading, or by writing.
    #[error("a superuser does nothing here: {0}")]
    CodeOfOthers(String),
    /// The server could not prove that it is the one that was named.
    #[error("the server's certificate is not accepted: {0}")]
    Certificate(String),
    /// The server answered with an error.
    #[error("the database refused: {}", said(.0))]
    Database(#[source] sqlx::Error),
    /// A regular expression of the filter is none in PostgreSQL's notation.
    #[error("{0}")]
    Regex(String),
    /// A term of the filter has a character that the database's encoding lacks.
    #[error("no event can hold such a word: {0}")]
    Unencodable(String),
    /// The statement ran into its time-out.
    #[error("the query took longer than its limit of {limit_s} s and was stopped")]
    TimedOut {
        /// The limit in force, in seconds.
        limit_s: u64,
    },
    /// The user or a newer request stopped the statement; the server has confirmed it.
    #[error("stopped")]
    Cancelled,
    /// The table `audit_events` is not there.
    #[error("this database has no table audit_events")]
    NoTable,
    /// The role is granted no organisation, or none that has events.
    #[error("row-level security shows this role no events")]
    NothingGranted,
    /// What was named as a replica is a server of another cluster.
    #[error(
        "the replica does not belong to this primary: their system identifiers differ ({replica} and {primary})"
    )]
    ForeignReplica {
        /// That of the server named as a replica.
        replica: i64,
        /// That of the primary.
        primary: i64,
    },
    /// A replica could not both answer and follow its primary.
    #[error("the replica ended the query in order to keep up with its primary")]
    ReplicaConflict,
    /// What is looked for may not have arrived on the replica yet.
    #[error("{0}: this replica may not have received it yet")]
    ReplicaBehind(String),
    /// A cursor that is damaged, or belongs to another organisation or filter.
    #[error("{0}")]
    Cursor(#[from] cursor::CursorError),
    /// A row that cannot be decoded.
    #[error("a row cannot be read: {0}")]
    Decode(String),
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl StoreError {
    /// Whether the connection is lost (as opposed to: the server answers, but not as hoped).
    pub fn is_connection_loss(&self) -> bool {
        matches!(self, Self::Connection(_))
    }

    /// Whether the server refused what was to be written, rather than to write: a value that a column, a constraint, a
    /// trigger or the encoding of the database does not take (classes 22, 23, 54 and P0 of SQLSTATE). What the same server
    /// takes a moment later, or once somebody has seen to it, is none: a lost connection, a full disk, a missing right.
    pub fn is_of_values(&self) -> bool {
        match self {
            Self::Unencodable(_) => true,
            Self::Database(sqlx::Error::Database(e)) => {
                let code = e.code().unwrap_or_default();
                ["22", "23", "54", "P0"].iter().any(|class| code.starts_with(class))
            }
            _ => false,
        }
    }

    /// Whether the server ran out of room for a value that it was to print, such as a state with numbers of huge
    /// exponents: 75 kB of `1e131071` are more than a gigabyte of text.
    pub fn is_of_a_value_too_large(&self) -> bool {
        let Self::Database(sqlx::Error::Database(e)) = self else { return false };
        matches!(e.code().as_deref(), Some("53200" | "54000"))
    }
}

/// Whether a connection ended without a word from the server. To Unix that is one of four errors, depending on who was
/// about to write, and whether all was read.
pub(in crate::store) fn is_cut(error: &sqlx::Error) -> bool {
    use std::io::ErrorKind as Kind;
    let sqlx::Error::Io(e) = error else { return false };
    matches!(
        e.kind(),
        Kind::UnexpectedEof | Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe
    )
}

/// An error of the driver: of one that the server reports, what the server says.
pub(in crate::store) fn said(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(e) => match e.code() {
            Some(code) => format!("{} (SQLSTATE {})", in_a_line(e.message()), in_a_line(&code)),
            None => in_a_line(e.message()),
        },
        // The driver has dropped the reason, if there was one: sqlx 0.9 waits for more behind it in a COPY, and does not
        // read any more once it cannot write.
        sqlx::Error::Io(_) if is_cut(error) => {
            "the connection was cut in the middle of the work, by the server, whose log says why, or on the way to it"
                .to_owned()
        }
        sqlx::Error::Io(e) => e.to_string(),
        other => in_a_line(&other.to_string()),
    }
}

/// What a server says, in one line of a length that can be read.
pub(in crate::store) fn in_a_line(text: &str) -> String {
    const MOST: usize = 500;
    let mut line: String = text.chars().take(MOST).map(|c| if c == '\n' { ' ' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        line.push('…');
    }
    line
}
