//! What matters, what is noise, and what must not be shown.

use super::json::tokens;
use super::label::Label;
use crate::domain::mask::SECRET_PREFIXES;
use std::collections::HashMap;

/// How much a change matters, most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// Who may do what.
    Privilege,
    /// Keys, passwords, tokens.
    Secret,
    /// Whose it is.
    Owner,
    /// Who can reach it.
    Network,
    /// Everything else.
    Ordinary,
    /// Changes by itself: counters, times of the last change.
    Noise,
}

impl Rank {
    /// The name in JSON output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Privilege => "privilege",
            Self::Secret => "secret",
            Self::Owner => "owner",
            Self::Network => "network",
            Self::Ordinary => "ordinary",
            Self::Noise => "noise",
        }
    }
}

/// The words that decide. A word matches a part of a key: `apiKey`, `api_key` and `API-Key` all have the parts `api`
/// and `key`; a word of several parts (`api key`) wants them side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Parts of keys about rights.
    pub privilege: Vec<String>,
    /// Parts of keys that hold secrets: such strings and numbers are masked.
    pub secret: Vec<String>,
    /// Last parts of keys that only describe a secret (`token_count`), which is shown then.
    pub secret_attribute: Vec<String>,
    /// Beginnings of values that are secrets under whatever key.
    pub secret_prefix: Vec<String>,
    /// Parts of keys about ownership.
    pub owner: Vec<String>,
    /// Parts of keys about exposure to a network.
    pub network: Vec<String>,
    /// String values that open something to everybody.
    pub open_to_all: Vec<String>,
    /// Paths that change by themselves: a key (`updated_at`, at any depth) or a JSON Pointer with `*` for one step
    /// (`/metadata/*/resourceVersion`); what is below counts, too.
    pub noise: Vec<String>,
}

impl Default for Rules {
    fn default() -> Self {
        let list = |text: &str| text.split(", ").map(str::to_owned).collect();
        Self {
            privilege: list(
                "role, roles, permission, permissions, privilege, privileges, admin, superuser, scope, scopes, \
                 grant, grants, policy, policies, acl, group, groups, mfa, sudo, rule, rules, verbs",
            ),
            secret: list(
                "password, passwd, passphrase, pwd, secret, secrets, token, credential, credentials, api key, \
                 apikey, private key, access key, signing key, encryption key, cookie, authorization",
            ),
            secret_attribute: list(
                "id, name, type, kind, count, limit, ttl, expiry, expires, at, age, length, enabled, required, \
                 ref, status, version, algorithm, url, uri, scope, scopes",
            ),
            secret_prefix: SECRET_PREFIXES.map(str::to_owned).to_vec(),
            owner: list("owner, owners, ownership, assignee, creator, tenant, organization, account"),
            network: list(
                "ip, ips, cidr, public, ingress, egress, firewall, port, ports, host, hosts, hostname, endpoint, \
                 cors, origin, origins, allowlist, webhook, expose, exposed, visibility",
            ),
            open_to_all: list("0.0.0.0/0, ::/0, *, public, allUsers, allAuthenticatedUsers"),
            noise: list(
                "updated_at, updatedAt, last_seen, last_seen_at, lastSeen, last_used_at, resourceVersion, \
                 managedFields, observedGeneration, etag",
            ),
        }
    }
}

/// What a key says about all that is below it.
#[derive(Debug, Clone, Copy, Default)]
struct Facts {
    privilege: bool,
    secret: bool,
    owner: bool,
    network: bool,
    noise: bool,
}

/// The rules at work. Keys come again and again, so what was found out about each is remembered.
#[derive(Debug)]
pub(super) struct Judge<'r> {
    pub(super) rules: &'r Rules,
    known: HashMap<String, Facts>,
}

impl<'r> Judge<'r> {
    pub(super) fn new(rules: &'r Rules) -> Self {
        Self { rules, known: HashMap::new() }
    }

    /// How much a change matters, and whether one of its values (as JSON) is a secret. Of containers only what is
    /// inside can be one.
    pub(super) fn judge(&mut self, label: &Label, pointer: &str, values: [Option<&str>; 2]) -> (Rank, bool) {
        let facts = self.about(label);
        let values = values.into_iter().flatten();
        let scalar = |v: &str| v.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit());
        let secret = values.clone().any(|v| (facts.secret && scalar(v)) || self.rules.is_secret_value(v));
        let opens = |v| self.rules.open_to_all.iter().any(|w| w == v);
        let rank = if facts.noise || self.rules.is_noise_pointer(pointer) {
            Rank::Noise
        } else if facts.privilege {
            Rank::Privilege
        } else if secret {
            Rank::Secret
        } else if facts.owner {
            Rank::Owner
        } else if facts.network || values.filter_map(inner).any(opens) {
            Rank::Network
        } else {
            Rank::Ordinary
        };
        (rank, secret)
    }

    fn about(&mut self, label: &Label) -> Facts {
        let mut all = Facts::default();
        for key in label.keys() {
            let facts = self.known.get(key).copied().unwrap_or_else(|| self.rules.facts(key));
            if !self.known.contains_key(key) {
                self.known.insert(key.to_owned(), facts);
            }
            all.privilege |= facts.privilege;
            all.secret |= facts.secret;
            all.owner |= facts.owner;
            all.network |= facts.network;
            all.noise |= facts.noise;
        }
        all
    }
}

impl Rules {
    fn facts(&self, key: &str) -> Facts {
        let parts = parts(key);
        let any = |words: &[String]| words.iter().any(|w| has(&parts, w));
        Facts {
            privilege: any(&self.privilege),
            secret: self.is_secret_key(key),
            owner: any(&self.owner),
            network: any(&self.network),
            noise: self.noise.iter().any(|n| n == key),
        }
    }

    fn is_noise_pointer(&self, pointer: &str) -> bool {
        self.noise.iter().filter(|p| p.starts_with('/')).any(|pattern| {
            let mut steps = pointer.split('/').skip(1);
            pattern.split('/').skip(1).all(|p| steps.next().is_some_and(|s| p == "*" || p == s))
        })
    }

    /// Whether the strings and numbers under a key are secrets.
    pub(in crate::diff) fn is_secret_key(&self, key: &str) -> bool {
        let parts = parts(key);
        let describes = parts.len() > 1 && parts.last().is_some_and(|p| self.secret_attribute.contains(p));
        !describes && self.secret.iter().any(|w| has(&parts, w))
    }

    /// Whether the scalar (as JSON) at a JSON Pointer is a secret.
    pub fn hides(&self, pointer: &str, value: &str) -> bool {
        let scalar = value.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit());
        (scalar && tokens(pointer).any(|key| self.is_secret_key(&key))) || self.is_secret_value(value)
    }

    /// Whether a value (as JSON) is a secret by its looks.
    pub(in crate::diff) fn is_secret_value(&self, value: &str) -> bool {
        inner(value).is_some_and(|text| {
            text.len() >= 12 && self.secret_prefix.iter().any(|p| text.starts_with(p.as_str()))
        })
    }
}

/// The inside of a JSON string.
fn inner(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}

/// The parts of an identifier, in lower case: `APIKey_v2` is `api`, `key`, `v2`.
fn parts(key: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut current = String::new();
    let mut before: Option<char> = None;
    let mut chars = key.chars().peekable();
    while let Some(c) = chars.next() {
        let lower_next = chars.peek().is_some_and(|n| n.is_lowercase());
        let lower_before = before.is_some_and(|p| p.is_lowercase() || p.is_numeric());
        let begins = c.is_uppercase() && (lower_before || lower_next);
        if (!c.is_alphanumeric() || begins) && !current.is_empty() {
            out.push(std::mem::take(&mut current));
        }
        if c.is_alphanumeric() {
            current.extend(c.to_lowercase());
        }
        before = Some(c);
    }
    if !current.is_empty() {
        out.push(current);
    }
    out
}

/// Whether the parts of an identifier contain those of a word, side by side.
fn has(parts: &[String], word: &str) -> bool {
    let wanted: Vec<&str> = word.split(' ').collect();
    parts.windows(wanted.len()).any(|w| w.iter().zip(&wanted).all(|(a, b)| a == b))
}

#[cfg(test)]
mod tests {
    use super::super::label::LabelStep;
    use super::*;

    fn label(keys: &[&str]) -> Label {
        Label(keys.iter().map(|k| LabelStep::Key((*k).to_owned())).collect())
    }

    #[test]
    fn keys_fall_into_parts() {
        assert_eq!(parts("APIKey_v2"), ["api", "key", "v2"]);
        assert_eq!(parts("clientSecret-id"), ["client", "secret", "id"]);
        assert_eq!(parts("iamRole"), ["iam", "role"]);
        assert_eq!(parts("§"), Vec::<String>::new());
    }

    #[test]
    fn what_a_change_is_about_decides_its_rank() {
        let rules = Rules::default();
        let rank = |keys: &[&str], value: &str| {
            Judge::new(&rules).judge(&label(keys), &format!("/{}", keys.join("/")), [None, Some(value)]).0
        };
        assert_eq!(rank(&["user", "roleName"], "1"), Rank::Privilege);
        assert_eq!(rank(&["apiKey"], "\"x\""), Rank::Secret);
        assert_eq!(rank(&["owner_id"], "1"), Rank::Owner);
        assert_eq!(rank(&["source"], "\"0.0.0.0/0\""), Rank::Network);
        assert_eq!(rank(&["title"], "\"x\""), Rank::Ordinary);
        assert_eq!(rank(&["role", "updated_at"], "\"x\""), Rank::Noise);
        // `ip` inside a word is not the word.
        assert_eq!(rank(&["description"], "\"x\""), Rank::Ordinary);
    }

    #[test]
    fn secrets_by_key_and_by_looks() {
        let rules = Rules::default();
        let secret =
            |key: &str, value: &str| Judge::new(&rules).judge(&label(&[key]), "", [Some(value), None]).1;
        assert!(secret("password", "\"hunter2\""));
        assert!(secret("accessKey", "\"x\""));
        assert!(secret("note", "\"AKIAIOSFODNN7EXAMPLE\""));
        assert!(secret("token", "17"));
        assert!(!secret("max_tokens", "4096"));
        assert!(!secret("token_count", "4096"));
        assert!(!secret("password_required", "true"));
        assert!(!secret("password", "null"));
        assert!(!secret("key", "\"primary\""));
    }

    #[test]
    fn noise_by_key_and_by_pointer() {
        let rules = Rules { noise: vec!["/a/*/seen".to_owned(), "etag".to_owned()], ..Rules::default() };
        let mut judge = Judge::new(&rules);
        let mut noise = |keys: &[&str]| {
            let pointer = format!("/{}", keys.join("/"));
            judge.judge(&label(keys), &pointer, [None, None]).0 == Rank::Noise
        };
        assert!(noise(&["x", "etag", "y"]));
        assert!(noise(&["a", "b", "seen", "at"]));
        assert!(!noise(&["a", "seen"]));
    }
}
