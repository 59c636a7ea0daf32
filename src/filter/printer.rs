//! The canonical spelling.

use super::ast::{Expr, Filter, Match, Matcher};
use std::fmt;

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = [("since", self.since), ("until", self.until)];
        let times = times.into_iter().filter_map(|(name, when)| Some(format!("{name}:{}", when?)));
        let parts = times.chain(self.all_time.then(|| "all-time".to_owned()));
        let parts = parts.chain(self.all_of.iter().map(ToString::to_string));
        f.write_str(&parts.collect::<Vec<_>>().join(" "))
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Not(inner) => write!(f, "-{inner}"),
            Self::Match(m) => m.fmt(f),
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contains = matches!(self.any_of.first(), Some(Matcher::Contains(_)));
        write!(f, "{}{}", self.field.name(), if contains { '~' } else { ':' })?;
        for (n, matcher) in self.any_of.iter().enumerate() {
            write!(f, "{}{matcher}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("*"),
            Self::Absent => f.write_str("null"),
            Self::Equals(text) | Self::Contains(text) => scalar(f, text),
            Self::Prefix(text) => {
                scalar(f, text)?;
                f.write_str("*")
            }
            Self::Network(network) => scalar(f, &network.to_string()),
            Self::Resource { resource_type, id, prefix } => {
                scalar(f, &format!("{resource_type}/{id}"))?;
                f.write_str(if *prefix { "*" } else { "" })
            }
        }
    }
}

/// Bare where nobody could read it as anything else, today or with more of the grammar; else in quotes.
fn scalar(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | ':' | '/' | '+');
    let bare = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.chars().all(plain)
        && !text.contains("..")
        && !text.eq_ignore_ascii_case("null");
    if bare {
        return f.write_str(text);
    }
    write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
