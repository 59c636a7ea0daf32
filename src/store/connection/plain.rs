//! Whether a password would go in plain text.
//!
//! With `sslmode=prefer`, what PostgreSQL takes by itself and we on the way to this machine, a listener without TLS that
//! asks for the password gets it as it is. sqlx answers without telling, so the listener is asked beforehand, on a
//! connection of its own that knows no password. A listener that asks another time for something else is not found out.

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest wait for the listener's answers; it is only a warning that depends on them.
const PATIENCE: Duration = Duration::from_secs(2);
/// The request for TLS.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// Protocol 3.0.
const PROTOCOL: u32 = 3 << 16;
/// Authentication by a password in plain text.
const PLAIN: u32 = 3;

/// Whether connecting so would send a password to a listener that asks for it in plain text, without TLS. False
/// where it cannot be told: connecting itself will.
pub async fn sends_plain_password(options: &PgConnectOptions) -> bool {
    let falls_back = matches!(options.get_ssl_mode(), PgSslMode::Prefer | PgSslMode::Allow);
    falls_back && is_asked_for_plain_password(options).await
}

/// The same of a connection that is made without TLS in any case. False where it cannot be told.
pub(in crate::store) async fn is_asked_for_plain_password(options: &PgConnectOptions) -> bool {
    let over_network = options.get_socket().is_none() && !options.get_host().starts_with('/');
    if !over_network {
        return false;
    }
    matches!(tokio::time::timeout(PATIENCE, asks_for_plain_password(options)).await, Ok(Ok(true)))
}

async fn asks_for_plain_password(options: &PgConnectOptions) -> io::Result<bool> {
    let host = options.get_host().trim_matches(['[', ']']);
    let mut stream = TcpStream::connect((host, options.get_port())).await?;
    // `allow` begins without asking for TLS.
    if matches!(options.get_ssl_mode(), PgSslMode::Prefer) {
        stream.write_all(&SSL_REQUEST).await?;
        if stream.read_u8().await? != b'N' {
            return Ok(false);
        }
    }
    let user = options.get_username();
    let mut begin = PROTOCOL.to_be_bytes().to_vec();
    for text in ["user", user, "database", options.get_database().unwrap_or(user), ""] {
        begin.extend_from_slice(text.as_bytes());
        begin.push(0);
    }
    let length = u32::try_from(begin.len() + 4).unwrap_or(u32::MAX);
    stream.write_all(&[&length.to_be_bytes(), begin.as_slice()].concat()).await?;
    // Kind, length, what is asked for.
    Ok(stream.read_u8().await? == b'R' && stream.read_u32().await? >= 8 && stream.read_u32().await? == PLAIN)
}
