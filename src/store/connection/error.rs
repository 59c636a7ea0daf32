//! Errors of the driver, as errors of the store.

use super::super::StoreError;

/// Whether a pooler has refused a transaction, as each statement of one might go to another server.
pub(super) fn is_of_statement_pooling(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|e| e.message().contains("statement pooling"))
}

/// Whether the server cannot look after its client: not all operating systems let it.
pub(super) fn is_of_watching(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|e| e.message().contains("client_connection_check_interval"))
}

/// Whether a connection may have been refused for a parameter that poolers do not know, rather than for who connects
/// (28), to what (3D), or for the server's state (53, 57).
pub(super) fn may_be_of_parameters(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(e) => {
            let code = e.code().unwrap_or_default();
            !["28", "3D", "53", "57"].iter().any(|class| code.starts_with(class))
        }
        // Some close the connection without a word.
        sqlx::Error::Io(e) => e.kind() == std::io::ErrorKind::UnexpectedEof,
        _ => false,
    }
}

pub(super) fn silence(what: &'static str) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, what))
}

pub(super) fn sql_state(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

/// What rustls has against a certificate. sqlx wraps it as any error of input and output.
fn certificate_error(error: &sqlx::Error) -> Option<String> {
    let (sqlx::Error::Io(_) | sqlx::Error::Tls(_)) = error else { return None };
    error
        .to_string()
        .split_once("invalid peer certificate: ")
        .map(|(_, why)| crate::store::connection::certificate::in_words(why))
}

/// Whether a character has no form in the database's encoding, rather than a stored one none in ours: the encodings are
/// named in this order whatever the language of the message, and ours is UTF8.
fn is_on_the_way_in(message: &str) -> bool {
    let encoding = |word: &str| {
        word.len() > 2
            && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
            && word.starts_with(|c: char| c.is_ascii_uppercase())
    };
    let words = message.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.into_iter().find(|word| encoding(word)) == Some("UTF8")
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        if let Some(why) = certificate_error(&error) {
            return Self::Certificate(why);
        }
        match &error {
            E::Tls(e) if e.to_string().contains("does not support TLS") => Self::NotEncrypted,
            E::Io(_) | E::Tls(_) | E::Protocol(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed => {
                Self::Connection(error)
            }
            E::ColumnDecode { .. }
            | E::Decode(_)
            | E::ColumnNotFound(_)
            | E::ColumnIndexOutOfBounds { .. } => Self::Decode(error.to_string()),
            E::Database(e) => match e.code().as_deref() {
                // Connection exceptions; stopped by the administrator, crashed, starting up or shutting down; full.
                Some(code) if code.starts_with("08") => Self::Connection(error),
                // The database is gone; the session or its transaction was idle, or lasted, too long.
                Some("57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "53300" | "25P03" | "25P04") => {
                    Self::Connection(error)
                }
                // Rows that a query on a replica still sees are being cleaned up on the primary. Nothing else is told
                // so in our transactions: none is serializable, none updates what others do.
                Some("40001") => Self::ReplicaConflict,
                Some("22P05") if is_on_the_way_in(e.message()) => {
                    Self::Unencodable(crate::store::error::in_a_line(e.message()))
                }
                Some("2201B") => Self::Regex(crate::store::in_a_line(e.message())),
                Some("42P01") if e.message().contains("audit_events") => Self::NoTable,
                _ => Self::Database(error),
            },
            _ => Self::Other(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_of_a_character_shows_in_any_language() {
        let messages = [
            (
                r#"character with byte sequence 0xe6 0x97 0xa5 in encoding "UTF8" has no equivalent in encoding "LATIN1""#,
                true,
            ),
            (
                "Zeichen mit Byte-Folge 0xe6 0x97 in Kodierung »UTF8« hat keine Entsprechung in Kodierung »EUC_JP«",
                true,
            ),
            (
                r#"character with byte sequence 0x81 in encoding "WIN1252" has no equivalent in encoding "UTF8""#,
                false,
            ),
        ];
        for (message, is_in) in messages {
            assert_eq!(is_on_the_way_in(message), is_in, "{message}");
        }
    }
}
