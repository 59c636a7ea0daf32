//! From a URL to connection options: TLS by default on the way to other machines, and nothing of the URL in a log.

use super::Secret;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::net::IpAddr;
use std::str::FromStr as _;

/// The parameters that sqlx knows. Of others it would write the values into the log.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// Reads a URL; what it does not say comes from `PGHOST` and the like, the password also from `~/.pgpass`.
///
/// Without `sslmode` in the URL or a valid `PGSSLMODE` (`ssl_mode_in_environment`), a connection to another machine is
/// encrypted, and the server has to prove its name (`verify-full`). PostgreSQL's own default, `prefer`, falls back to
/// plain text as soon as somebody on the way asks for it.
///
/// # Errors
/// In words, without the URL, when it is none.
pub fn connect_options(
    url: &Secret,
    ssl_mode_in_environment: Option<&str>,
) -> Result<PgConnectOptions, String> {
    let (base, query) = url.expose().split_once('?').unwrap_or((url.expose(), ""));
    let mut known = Vec::new();
    let mut says_ssl_mode = ssl_mode_in_environment.is_some_and(|mode| PgSslMode::from_str(mode).is_ok());
    for parameter in query.split('&').filter(|p| !p.is_empty()) {
        let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
        if PARAMETERS.contains(&name) || (name.starts_with("options[") && name.ends_with(']')) {
            known.push(parameter);
            says_ssl_mode |= matches!(name, "sslmode" | "ssl-mode");
        } else {
            tracing::warn!(name, "a parameter of the database's URL is not known and has no effect");
        }
    }
    let options =
        PgConnectOptions::from_str(&format!("{base}?{}", known.join("&"))).map_err(|e| match e {
            sqlx::Error::Configuration(why) => without_values(&why.to_string()),
            other => without_values(&other.to_string()),
        })?;
    Ok(if says_ssl_mode || is_local(&options) { options } else { options.ssl_mode(PgSslMode::VerifyFull) })
}

/// What is between quotes may be anything that stood in the URL.
fn without_values(message: &str) -> String {
    message.split('"').step_by(2).collect::<Vec<_>>().join("…")
}

/// Whether the way to the server stays on this machine.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    options.get_socket().is_some()
        || host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || IpAddr::from_str(host.trim_matches(['[', ']'])).is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str, environment: Option<&str>) -> String {
        format!("{:?}", connect_options(&Secret::new(url), environment).unwrap().get_ssl_mode())
    }

    #[test]
    fn other_machines_have_to_prove_their_names() {
        for url in
            ["postgres://u@db.example.com/d", "postgres://u@10.1.2.3/d", "postgres://u@[2001:db8::1]/d"]
        {
            assert_eq!(mode(url, None), "VerifyFull", "{url}");
            assert_eq!(mode(url, Some("nonsense")), "VerifyFull", "{url}");
        }
        for url in [
            "postgres://u@localhost/d",
            "postgres://u@127.0.0.1/d",
            "postgres://u@[::1]/d",
            "postgres://u@%2Ftmp/d",
            "postgres://u@db.example.com/d?host=/tmp",
        ] {
            assert_eq!(mode(url, None), "Prefer", "{url}");
        }
    }

    #[test]
    fn a_mode_that_was_chosen_is_kept() {
        assert_eq!(mode("postgres://u@db.example.com/d?sslmode=require", None), "Require");
        assert_eq!(
            mode("postgres://u@db.example.com/d?application_name=x&ssl-mode=disable", None),
            "Disable"
        );
        assert_eq!(mode("postgres://u@localhost/d?sslmode=verify-full", None), "VerifyFull");
        assert!(says(Some("prefer")) && !says(None));
        fn says(environment: Option<&str>) -> bool {
            mode("postgres://u@db.example.com/d", environment) != "VerifyFull"
        }
    }

    #[test]
    fn errors_do_not_repeat_the_url() {
        for url in [
            "postgres://u:s3cret/x@h/d",
            "postgres://u:s3cret@h/d?port=s3cret",
            "postgres://u@h/d?sslmode=s3cret",
            "postgres://u@h/d?hostaddr=s3cret",
            "host=h password=s3cret",
            "s3cret",
        ] {
            let error = connect_options(&Secret::new(url), None).unwrap_err();
            assert!(!error.contains("s3cret"), "{url}: {error}");
        }
        // As many services write it.
        connect_options(&Secret::new("postgres://u@h/d?channel_binding=require"), None).unwrap();
    }
}
