//! The one of several servers that is meant.

use crate::store::StoreError;
use crate::store::connection::bounded;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{Connection as _, Row as _};
use std::time::Duration;

/// The first of `servers` that answers and whose session is accepted; `accepts` is told whether its transactions are
/// read-only and whether the server is in recovery. With `else_any` it is a preference. As in libpq, a server that answers with an error, such as a wrong
/// password, ends the search. `plain` is told, before it connects, of a server whose certificate cannot be used, so that it
/// is reached without TLS, and that asks for the password in plain text there.
///
/// # Errors
/// [`StoreError::NoServer`] with the reason of each; [`StoreError::Database`] of the one that refuses.
pub async fn first(
    servers: &[PgConnectOptions],
    limit: Duration,
    accepts: impl Fn(bool, bool) -> bool,
    else_any: bool,
    plain: &mut (dyn FnMut(&PgConnectOptions) + Send),
) -> Result<PgConnectOptions, StoreError> {
    let mut reasons = Vec::new();
    let mut another = None;
    for options in servers {
        let asked = async {
            let (mut c, options) = reached(options, plain).await?;
            let row = sqlx::query(
                "SELECT pg_catalog.current_setting('transaction_read_only') OPERATOR(pg_catalog.=) 'on', \
                 pg_catalog.pg_is_in_recovery()",
            )
            .persistent(false)
            .fetch_one(&mut c)
            .await?;
            let answer = accepts(row.try_get(0)?, row.try_get(1)?);
            // It has answered; how the session ends says nothing.
            let _ = c.close().await;
            Ok::<_, StoreError>((options, answer))
        };
        let reason = match tokio::time::timeout(limit, bounded(asked)).await {
            Ok(Ok((options, true))) => return Ok(options),
            Ok(Ok((options, false))) => {
                another.get_or_insert(options);
                "it answers, but is not of the kind that target_session_attrs asks for".to_owned()
            }
            Ok(Err(e)) if e.is_connection_loss() => e.to_string(),
            Ok(Err(e)) => return Err(e),
            Err(_) => format!("no answer within {} s", limit.as_secs()),
        };
        reasons.push(format!("{}: {reason}", at(options)));
    }
    another.filter(|_| else_any).ok_or_else(|| StoreError::NoServer(reasons.join("; ")))
}

async fn reached(
    options: &PgConnectOptions,
    plain: &mut (dyn FnMut(&PgConnectOptions) + Send),
) -> Result<(PgConnection, PgConnectOptions), StoreError> {
    // Poolers refuse parameters that they do not know.
    let connect = async |options: &PgConnectOptions| {
        PgConnection::connect_with(&options.clone().extra_float_digits(None)).await.map_err(StoreError::from)
    };
    match connect(options).await {
        Err(StoreError::Certificate(_)) if matches!(options.get_ssl_mode(), PgSslMode::Prefer) => {
            let without = options.clone().ssl_mode(PgSslMode::Disable);
            if super::plain::is_asked_for_plain_password(&without).await {
                plain(&without);
            }
            Ok((connect(&without).await?, without))
        }
        c => Ok((c?, options.clone())),
    }
}

fn at(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(folder) => format!("{}, port {}", folder.display(), options.get_port()),
        None if options.get_host().contains(':') => {
            format!("[{}]:{}", options.get_host(), options.get_port())
        }
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}
