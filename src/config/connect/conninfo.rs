//! The two forms of a connection string, read as libpq reads them: `postgres://…` and `host=… dbname=…`.

use super::{Refused, keywords};
use crate::domain::nearest;
use percent_encoding::percent_decode_str;

/// Parameters in the order in which they were written, names checked; of equal names the last counts.
pub(super) type Pairs = Vec<(&'static str, String)>;

const FORMS: &str = "the forms are postgres://USER@HOST:PORT/DATABASE?PARAMETER=VALUE and \
                     host=HOST port=PORT dbname=DATABASE user=USER";

/// Reads a connection string.
///
/// # Errors
/// In words that repeat no value, since any of them may be a password.
pub(super) fn parse(text: &str) -> Result<Pairs, Refused> {
    let text = text.trim();
    if let Some((scheme, rest)) = text.split_once(':')
        && !scheme.is_empty()
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
    {
        let is_ours = ["postgres", "postgresql"].iter().any(|name| scheme.eq_ignore_ascii_case(name));
        return match rest.strip_prefix("//") {
            Some(rest) if is_ours => url(rest),
            _ => Err(foreign(scheme, is_ours)),
        };
    }
    let mut pairs = Pairs::new();
    let mut found = Vec::new();
    key_values(text, &mut found)?;
    for KeyValue { name, value, .. } in found {
        pairs.push(pair(name, value)?);
    }
    Ok(pairs)
}

fn foreign(scheme: &str, is_ours: bool) -> Refused {
    if is_ours {
        Refused::new("'//' is missing behind the scheme").hint(FORMS)
    } else if scheme.eq_ignore_ascii_case("jdbc") {
        Refused::new("a JDBC URL is not supported")
            .hint("leave out 'jdbc:' and write the user into it: postgresql://USER@HOST:PORT/DATABASE")
    } else if scheme.to_ascii_lowercase().starts_with("postgresql+") {
        Refused::new("the scheme names a driver").hint("write postgresql:// without '+' and the driver")
    } else if nearest(scheme, ["postgresql"].into_iter()).is_some() {
        Refused::new(format!("'{scheme}' is not the scheme of a PostgreSQL URL"))
            .hint("did you mean 'postgresql'?")
    } else if scheme.len() <= 20 {
        Refused::new(format!("'{scheme}' is not the scheme of a PostgreSQL URL")).hint(FORMS)
    } else {
        Refused::new("not a PostgreSQL URL").hint(FORMS)
    }
}

fn pair(name: &str, value: String) -> Result<(&'static str, String), Refused> {
    Ok((keywords::find(name)?.name, value))
}

/// What stands behind `postgres://`.
fn url(text: &str) -> Result<Pairs, Refused> {
    let mut pairs = Pairs::new();
    let mut push = |name, value: &str| {
        if !value.is_empty() {
            pairs.push((name, decoded(value)?));
        }
        Ok::<_, Refused>(())
    };
    let before_path = text.find('/').unwrap_or(text.len());
    let (user, mut rest) = match text[..before_path].find('@') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => ("", text),
    };
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    push("user", user)?;
    push("password", password)?;

    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    loop {
        let host;
        if let Some(literal) = rest.strip_prefix('[') {
            (host, rest) = literal
                .split_once(']')
                .ok_or_else(|| Refused::new("the ']' of an IPv6 address is missing"))?;
            if host.is_empty() || !(rest.is_empty() || rest.starts_with([':', '/', '?', ','])) {
                return Err(Refused::new("an IPv6 address is followed by neither a port nor a database")
                    .hint("write it as [::1]:5432"));
            }
        } else {
            (host, rest) = rest.split_at(rest.find([':', '/', '?', ',']).unwrap_or(rest.len()));
        }
        if host.contains('@') {
            return Err(Refused::new("'@' stands twice before the host")
                .hint("write an '@' of the user or the password as %40"));
        }
        hosts.push(host);
        let mut port = "";
        if let Some(behind) = rest.strip_prefix(':') {
            (port, rest) = behind.split_at(behind.find(['/', '?', ',']).unwrap_or(behind.len()));
        }
        ports.push(port);
        match rest.strip_prefix(',') {
            Some(behind) => rest = behind,
            None => break,
        }
    }
    push("host", &joined(&hosts))?;
    push("port", &joined(&ports))?;

    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    push("dbname", path.strip_prefix('/').unwrap_or(path))?;
    let mut options = Vec::new();
    for parameter in query.split('&').filter(|p| !p.is_empty()) {
        let Some((name, value)) = parameter.split_once('=') else {
            // The name is checked first: its message says more.
            keywords::find(&decoded(parameter)?)?;
            return Err(Refused::new("a parameter has no '=' and no value"));
        };
        let (name, value) = (decoded(name)?, decoded(value)?);
        if let Some(setting) = name.strip_prefix("options[").and_then(|name| name.strip_suffix(']')) {
            options.push(format!("-c {setting}={}", value.replace('\\', "\\\\").replace(' ', "\\ ")));
        } else if name == "ssl" && value == "true" {
            pairs.push(("sslmode", "require".to_owned()));
        } else {
            pairs.push(pair(&name, value)?);
        }
    }
    if !options.is_empty() {
        let given = pairs.iter().rfind(|(name, _)| *name == "options").map(|(_, value)| value.clone());
        options.splice(0..0, given);
        pairs.push(("options", options.join(" ")));
    }
    Ok(pairs)
}

/// A list with commas; empty when all of it is.
fn joined(parts: &[&str]) -> String {
    if parts.iter().all(|part| part.is_empty()) { String::new() } else { parts.join(",") }
}

fn decoded(text: &str) -> Result<String, Refused> {
    let mut behind = text.split('%').skip(1);
    if !behind
        .all(|b| b.len() >= 2 && b.bytes().take(2).all(|b| b.is_ascii_hexdigit()) && !b.starts_with("00"))
    {
        return Err(Refused::new("a '%' is not followed by two hexadecimal digits other than 00")
            .hint("write the character '%' itself as %25"));
    }
    let text = percent_decode_str(text).decode_utf8();
    Ok(text.map_err(|_| Refused::new("a part of it is not UTF-8 when %XX is decoded"))?.into_owned())
}

/// A name and its value, quotes and backslashes resolved, and the value as it is written.
pub(super) struct KeyValue<'a> {
    pub(super) name: &'a str,
    value: String,
    pub(super) written: &'a str,
}

/// Reads `name = 'value' …` into `found`.
///
/// # Errors
/// When an `=` or a closing quote is missing; what stands before it has been read.
pub(super) fn key_values<'a>(text: &'a str, found: &mut Vec<KeyValue<'a>>) -> Result<(), Refused> {
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let name;
        (name, rest) = rest.split_at(end);
        let Some(behind) = rest.trim_start().strip_prefix('=') else {
            return Err(Refused::new("neither a URL nor pairs of NAME=VALUE").hint(FORMS));
        };
        let behind = behind.trim_start();
        let Value { text, length, is_whole } = one_value(behind);
        let written;
        (written, rest) = behind.split_at(length);
        found.push(KeyValue { name, value: text, written });
        if !is_whole {
            return Err(Refused::new("the closing quote of a value is missing"));
        }
        rest = rest.trim_start();
    }
    Ok(())
}

struct Value {
    text: String,
    /// Bytes that it takes as it is written, quotes included.
    length: usize,
    /// No quote is missing.
    is_whole: bool,
}

fn one_value(written: &str) -> Value {
    let is_quoted = written.starts_with('\'');
    let mut text = String::new();
    let mut chars = written.char_indices().skip(usize::from(is_quoted));
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => text.extend(chars.next().map(|(_, c)| c)),
            '\'' if is_quoted => return Value { text, length: at + 1, is_whole: true },
            c if !is_quoted && c.is_whitespace() => return Value { text, length: at, is_whole: true },
            c => text.push(c),
        }
    }
    Value { text, length: written.len(), is_whole: !is_quoted }
}
