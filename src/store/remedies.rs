//! What a person can do about an error of the database, and its exit code.

use super::StoreError;
use super::error::is_cut;
use crate::error::{Error, Kind};
use crate::store::listing::bounds::BoundsError;

impl StoreError {
    /// Remedies in the imperative, the most likely first.
    pub fn remedies(&self) -> &'static [&'static str] {
        match self {
            Self::NoTable => &[
                "agenttrace db migrate makes it, in a database of ours",
                "is this the right database? The table must be in the search_path of the role, or in the schema named",
                "--schema NAME, or schema in the profile, names the schema of the table",
            ],
            Self::CodeOfOthers(_) => &[
                "connect as a role that is not a superuser: a member of agenttrace_reader, or of agenttrace_writer, is enough",
                "--as-superuser, or as_superuser in the profile, does it nevertheless",
            ],
            Self::StatementPooling => {
                &["connect to the server itself, or to a pool in transaction or session mode"]
            }
            Self::Scattered => &[
                "connect to the server itself",
                "with pgpool-II: disable_load_balance_on_write = 'transaction', which is its default",
            ],
            Self::Connection(e) if is_cut(e) => &[
                "try again; an interrupted verification goes on with --resume, and an ingest adds what is not there yet",
                "where it happens again: the server's log, and time-outs of a proxy, pooler or firewall on the way",
            ],
            Self::NoCopy => &["ingest into the server itself; reading works there all the same"],
            Self::OneSession => &[
                "connect to the server itself, or to a pool of two sessions or more",
                "events lists page by page instead",
            ],
            Self::ReplicaConflict => &[
                "try again, or ask the primary",
                "on the replica, max_standby_streaming_delay or hot_standby_feedback give queries longer",
            ],
            Self::ForeignReplica { .. } => {
                &["--replica-url, or replica_url of the profile, names a streaming replica of the primary"]
            }
            Self::Unencodable(_) => {
                &["leave the word out of the filter: nothing matches it, and everything matches -word"]
            }
            Self::ReplicaBehind(_) => {
                &["ask the primary: without --replica-url, or without replica_url in the profile"]
            }
            Self::NothingGranted => {
                &["an administrator grants organisations: agenttrace db grant ROLE ORGANISATION"]
            }
            Self::Regex(_) => &["it is PostgreSQL's notation: \\( is a parenthesis itself"],
            Self::NotEncrypted => &[
                "switch TLS on there (ssl = on)",
                "or, where the network on the way is trusted, add ?sslmode=disable to the URL",
            ],
            Self::Certificate(_) => &[
                "name the authority that signed it: sslrootcert=FILE in the URL, or PGSSLROOTCERT",
                "the host in the URL has to be one of the names in the certificate",
                "docs/guide/connecting.md makes a certificate that serves; sslmode=require encrypts without verifying it",
            ],
            e if e.is_of_a_value_too_large() => &[
                "a state of an event is more than the server can print, such as numbers with huge exponents",
                "agenttrace verify names the event; events, and show of that one, do without its states",
            ],
            Self::TimedOut { .. } => {
                &["narrow the time with since: and until:, or give it longer with --timeout 2m"]
            }
            _ => &[],
        }
    }
}

impl From<StoreError> for Error {
    fn from(e: StoreError) -> Self {
        let kind = match e {
            StoreError::Cursor(_) | StoreError::Regex(_) | StoreError::ForeignReplica { .. } => Kind::Usage,
            StoreError::Cancelled => Kind::Interrupted,
            StoreError::ReplicaBehind(_) | StoreError::Unencodable(_) => Kind::Incomplete,
            StoreError::CodeOfOthers(_) => Kind::Refused,
            _ => Kind::CouldNotRun,
        };
        e.remedies().iter().fold(Self::new(kind, e.to_string()), |error, remedy| error.hint(*remedy))
    }
}

impl From<BoundsError> for Error {
    fn from(e: BoundsError) -> Self {
        match e {
            BoundsError::Store(e) => e.into(),
            BoundsError::Range(e) => Self::usage(e.to_string()),
            BoundsError::NoEvent { .. } => Self::new(Kind::Usage, e.to_string()),
        }
    }
}
