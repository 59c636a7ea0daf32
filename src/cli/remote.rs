//! A server elsewhere: from the connection string to the options of the server that is meant.

use super::Context;
use super::context::blocking;
use crate::config::{self, Choice, Connection, Secret, SessionKind, Target};
use crate::domain::Safe;
use crate::error::{Error, Kind, Result};
use crate::store::connection::{plain, servers};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::time::Duration;

/// The target of a choice; reaches servers only where there are several to choose from. Says what a person should know,
/// such as a password file that is ignored.
///
/// # Errors
/// Exit 2 when a connection string is wrong, exit 3 when no server is the one that is meant, or there is no password.
pub(super) async fn target(
    context: &Context,
    choice: &Choice,
    url: &Secret,
    replica_url: Option<&Secret>,
) -> Result<Target> {
    let mut warnings = Vec::new();
    let connection = read(context, choice, url, "", &mut warnings).await?;
    let connect_timeout = connection.connect_timeout;
    let options = the_one_meant(context, connection, &mut warnings).await?;
    let replica = match replica_url {
        Some(url) => {
            let connection = read(context, choice, url, " of the replica", &mut warnings).await?;
            let first = connection.servers.first().cloned();
            match the_one_meant(context, connection, &mut warnings).await {
                Ok(options) => Some(options),
                // That it is away is found again, and said, where it is to be read from.
                Err(e) if e.kind() == Kind::CouldNotRun => first,
                Err(e) => return Err(e),
            }
        }
        None => None,
    };
    let label = if choice.is_profile { choice.label.clone() } else { config::listens_at(&options) };
    let place =
        if choice.is_profile { format!("profile {}", choice.label) } else { config::place_of(&options) };
    Ok(Target {
        options,
        replica,
        connect_timeout,
        label,
        place,
        production: choice.production,
        warnings,
        server: None,
    })
}

/// Reads a connection string and fetches its password.
async fn read(
    context: &Context,
    choice: &Choice,
    url: &Secret,
    what: &str,
    warnings: &mut Vec<String>,
) -> Result<Connection> {
    let secret = url.clone();
    // Files are read, and a name may be looked up.
    let connection =
        blocking(move || config::connection(&secret, &|name| std::env::var(name).ok())).await?.map_err(|e| {
            let error = Error::usage(format!(
                "{}: the connection string{what} is not valid: {}",
                choice.label, e.text
            ));
            e.hint.into_iter().fold(error, Error::hint)
        });
    let mut connection = connection?;
    for remark in &connection.remarks {
        context.out.remark(Safe::from_untrusted(remark));
    }
    if let Some(command) = &choice.password_command {
        if connection.has_password {
            return Err(Error::usage(format!(
                "{}: the connection string{what} holds a password, and password_command prints one: keep one of them",
                choice.label
            )));
        }
        for options in &mut connection.servers {
            let password = command.password(options).await?;
            *options = options.clone().password(&password);
        }
        connection.knows_password = true;
    }
    if connection.knows_password {
        for options in &connection.servers {
            if plain::sends_plain_password(options).await {
                warnings.push(context.warn_of_plain_password(options));
            }
        }
    }
    Ok(connection)
}

/// The first of the servers that answers and is of the wanted kind. One that is the only one is not asked, unless TLS
/// might fail with it and need not.
async fn the_one_meant(
    context: &Context,
    connection: Connection,
    warnings: &mut Vec<String>,
) -> Result<PgConnectOptions> {
    const LIMIT: Duration = Duration::from_secs(10);
    let Connection { servers, wanted, connect_timeout, knows_password, .. } = connection;
    let limit = connect_timeout.unwrap_or(LIMIT);
    let prefers_tls = |options: &PgConnectOptions| matches!(options.get_ssl_mode(), PgSslMode::Prefer);
    let mut warn = |options: &PgConnectOptions| {
        if knows_password {
            warnings.push(context.warn_of_plain_password(options));
        }
    };
    if let [only] = &servers[..]
        && wanted == SessionKind::Any
    {
        if !prefers_tls(only) {
            return Ok(only.clone());
        }
        // What else is wrong with it is found, and said in its place, when it is used.
        return Ok(match servers::first(&servers, limit, |_, _| true, false, &mut warn).await {
            Ok(options) => said(context, options, prefers_tls(only)),
            Err(_) => only.clone(),
        });
    }
    let accepts = |read_only, in_recovery| wanted.accepts(read_only, in_recovery);
    let found = servers::first(&servers, limit, accepts, wanted.is_a_preference(), &mut warn).await?;
    Ok(said(context, found, servers.iter().any(prefers_tls)))
}

/// Says where TLS was preferred and could not be had because of the certificate.
fn said(context: &Context, options: PgConnectOptions, preferred_tls: bool) -> PgConnectOptions {
    if preferred_tls && matches!(options.get_ssl_mode(), PgSslMode::Disable) {
        context.out.remark(format_args!(
            "the certificate of {} cannot be used: the connection is not encrypted (sslmode=prefer)",
            Safe::from_untrusted(&config::listens_at(&options))
        ));
    }
    options
}
