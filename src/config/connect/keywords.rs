//! The parameters of libpq's connection strings, their variables, and what each does here.

use super::Refused;
use crate::domain::nearest;

/// What a parameter does here.
#[derive(Debug, Clone, Copy)]
pub(super) enum Effect {
    /// What libpq's does.
    Used,
    /// Nothing is lost without it: the driver has no such mechanism, or always does what it asks for.
    Ignored,
    /// It may promise something that this program does not do. These values promise nothing; others are refused with
    /// the reason.
    Only(&'static [&'static str], &'static str),
}

/// A parameter: its name, its variable in the environment, its effect.
pub(super) struct Keyword {
    pub(super) name: &'static str,
    pub(super) variable: Option<&'static str>,
    pub(super) effect: Effect,
}

const fn used(name: &'static str, variable: &'static str) -> Keyword {
    Keyword { name, variable: Some(variable), effect: Effect::Used }
}

const fn ignored(name: &'static str, variable: Option<&'static str>) -> Keyword {
    Keyword { name, variable, effect: Effect::Ignored }
}

const fn only(
    name: &'static str,
    variable: Option<&'static str>,
    values: &'static [&'static str],
    why: &'static str,
) -> Keyword {
    Keyword { name, variable, effect: Effect::Only(values, why) }
}

const NO_GSS: &str = "GSSAPI is not supported: use gssencmode=disable and TLS (sslmode)";
const NO_CRL: &str = "certificate revocation lists are not supported";
const NO_OAUTH: &str =
    "OAuth is not supported: password_command in a profile can fetch a token as the password";

/// All of libpq 18, and this driver's `statement-cache-capacity`.
pub(super) const KEYWORDS: &[Keyword] = &[
    used("host", "PGHOST"),
    used("hostaddr", "PGHOSTADDR"),
    used("port", "PGPORT"),
    used("dbname", "PGDATABASE"),
    used("user", "PGUSER"),
    used("password", "PGPASSWORD"),
    used("passfile", "PGPASSFILE"),
    used("service", "PGSERVICE"),
    used("servicefile", "PGSERVICEFILE"),
    used("options", "PGOPTIONS"),
    used("sslmode", "PGSSLMODE"),
    used("sslrootcert", "PGSSLROOTCERT"),
    used("sslcert", "PGSSLCERT"),
    used("sslkey", "PGSSLKEY"),
    used("connect_timeout", "PGCONNECT_TIMEOUT"),
    used("target_session_attrs", "PGTARGETSESSIONATTRS"),
    used("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    used("channel_binding", "PGCHANNELBINDING"),
    used("sslcertmode", "PGSSLCERTMODE"),
    Keyword { name: "statement-cache-capacity", variable: None, effect: Effect::Used },
    // The program names itself, and its sessions are UTF-8.
    ignored("application_name", Some("PGAPPNAME")),
    ignored("fallback_application_name", None),
    ignored("client_encoding", Some("PGCLIENTENCODING")),
    ignored("keepalives", None),
    ignored("keepalives_idle", None),
    ignored("keepalives_interval", None),
    ignored("keepalives_count", None),
    ignored("tcp_user_timeout", None),
    ignored("sslcompression", Some("PGSSLCOMPRESSION")),
    ignored("sslsni", Some("PGSSLSNI")),
    ignored("max_protocol_version", Some("PGMAXPROTOCOLVERSION")),
    ignored("krbsrvname", Some("PGKRBSRVNAME")),
    ignored("gsslib", Some("PGGSSLIB")),
    ignored("gssdelegation", Some("PGGSSDELEGATION")),
    only("gssencmode", Some("PGGSSENCMODE"), &["disable", "prefer"], NO_GSS),
    only(
        "sslnegotiation",
        Some("PGSSLNEGOTIATION"),
        &["postgres"],
        "direct TLS negotiation is not supported",
    ),
    only(
        "ssl_min_protocol_version",
        Some("PGSSLMINPROTOCOLVERSION"),
        &["TLSv1", "TLSv1.1", "TLSv1.2"],
        "TLS 1.2 or 1.3 is used, as the server chooses",
    ),
    only(
        "ssl_max_protocol_version",
        Some("PGSSLMAXPROTOCOLVERSION"),
        &["TLSv1.3"],
        "TLS 1.2 or 1.3 is used, as the server chooses",
    ),
    only("min_protocol_version", Some("PGMINPROTOCOLVERSION"), &["3.0"], "the protocol is version 3.0"),
    only("sslcrl", Some("PGSSLCRL"), &[], NO_CRL),
    only("sslcrldir", Some("PGSSLCRLDIR"), &[], NO_CRL),
    only(
        "sslpassword",
        None,
        &[],
        "encrypted keys are not supported: decrypt the key with openssl pkey and keep it at mode 0600",
    ),
    only("requirepeer", Some("PGREQUIREPEER"), &[], "the owner of a socket cannot be checked"),
    only(
        "require_auth",
        Some("PGREQUIREAUTH"),
        &[],
        "the way of authentication cannot be restricted: sslmode=verify-full protects a password on its way",
    ),
    only("replication", None, &["false", "off", "no", "0"], "a replication connection cannot read tables"),
    only("scram_client_key", None, &[], "use password, a password file or password_command"),
    only("scram_server_key", None, &[], "use password, a password file or password_command"),
    only("oauth_issuer", None, &[], NO_OAUTH),
    only("oauth_client_id", None, &[], NO_OAUTH),
    only("oauth_client_secret", None, &[], NO_OAUTH),
    only("oauth_scope", None, &[], NO_OAUTH),
];

/// Other spellings of the driver.
const ALIASES: &[(&str, &str)] = &[
    ("ssl-mode", "sslmode"),
    ("ssl-root-cert", "sslrootcert"),
    ("ssl-ca", "sslrootcert"),
    ("ssl-cert", "sslcert"),
    ("ssl-key", "sslkey"),
];

/// Whether the value of a parameter of this name is to be shown to nobody. Misspelt names count.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name != "passfile" && ["pass", "pwd", "secret", "scram_"].iter().any(|part| name.contains(part))
}

/// The parameter of this name.
///
/// # Errors
/// With the nearest name when there is none.
pub(super) fn find(name: &str) -> Result<&'static Keyword, Refused> {
    let canonical = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, canonical)| canonical);
    if let Some(keyword) = KEYWORDS.iter().find(|keyword| keyword.name == canonical) {
        return Ok(keyword);
    }
    // What is no name at all may be a part of a password.
    let is_name = name.len() <= 40 && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    if !is_name {
        return Err(Refused::new("a parameter of it has no valid name").hint(
            "in a URL, write ? & / # @ : % of a user, password or database as %3F %26 %2F %23 %40 %3A %25",
        ));
    }
    let nearest = nearest(name, KEYWORDS.iter().map(|keyword| keyword.name));
    let refused = Refused::new(format!("unknown parameter '{name}'"));
    Err(match nearest {
        Some(nearest) => refused.hint(format!("did you mean '{nearest}'?")),
        None => refused
            .hint("parameters are those of libpq, such as sslmode, sslrootcert, options, connect_timeout"),
    })
}
