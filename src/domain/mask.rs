//! The mask over a screen that is shared: what must not be read over somebody's shoulder is covered, visibly and without
//! moving anything.
//!
//! Covered are, by their form and wherever they stand in a text: e-mail addresses but for their first letter, network
//! addresses, and secrets whose kind begins in a known way ([`SECRET_PREFIXES`]). Covered characters become [`COVER`] of the
//! same width; `@`, `.` and `:` stay, so that one sees what is covered. What has no such form (a name, an account number)
//! is not recognised. It is a matter of the screen alone: files, copies, commands and evidence hold what the record holds.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr as _;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// What a covered character becomes.
pub const COVER: char = '▒';
/// What a covered character of two columns becomes.
const WIDE_COVER: char = '＊';
/// Stands for what was cut off.
const CUT: char = '…';

/// Beginnings of values that are secrets under whatever name: keys in PEM, of AWS, GitHub, GitLab, Slack and others, and
/// signed tokens (JWT).
pub const SECRET_PREFIXES: [&str; 12] = [
    "-----BEGIN",
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "sk-",
    "eyJhbGci",
];
/// Shorter words are no secrets, whatever they begin with: `sk-ip`, `ASIATIC`.
const SHORTEST_SECRET: usize = 16;

/// The text with everything covered that the mask covers; `None` where that is nothing. As wide as the text, with blanks
/// at the same places; covering it again changes nothing.
pub fn masked(text: &str) -> Option<String> {
    // Nearly every text is done here.
    if !text.bytes().any(|b| matches!(b, b'@' | b'.' | b':' | b'-' | b'_' | b'A'..=b'Z')) {
        return None;
    }
    let mut covered = vec![false; text.len()];
    addresses_of_mail(text, &mut covered);
    words(
        text,
        |c| c.is_ascii_hexdigit() || matches!(c, '.' | ':'),
        |at, word| network(at, word, &mut covered),
    );
    words(
        text,
        |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '+' | '='),
        |at, word| {
            if let Some(prefix) = secret(word) {
                covered.get_mut(at + prefix..at + word.len()).into_iter().flatten().for_each(|c| *c = true);
            }
        },
    );
    covered.contains(&true).then(|| cover(text, &covered))
}

fn cover(text: &str, covered: &[bool]) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    for (at, grapheme) in text.grapheme_indices(true) {
        match (covered.get(at), grapheme.width()) {
            (Some(true), 2) => out.push(WIDE_COVER),
            (Some(true), 1) => out.push(COVER),
            _ => out.push_str(grapheme),
        }
    }
    out
}

/// Calls `with` for each longest run of such characters: its place and the run.
fn words(text: &str, is_part: impl Fn(char) -> bool, mut with: impl FnMut(usize, &str)) {
    let mut begin = None;
    for (at, c) in text.char_indices().chain([(text.len(), '\0')]) {
        match (begin, is_part(c)) {
            (None, true) => begin = Some(at),
            (Some(from), false) => {
                with(from, text.get(from..at).unwrap_or_default());
                begin = None;
            }
            _ => {}
        }
    }
}

/// Both sides of each `@`, as far as they have letters, digits and what else stands in e-mail addresses (RFC 5321, without
/// quoted local parts); of the local part all but the first character. A side that was cut counts as well.
fn addresses_of_mail(text: &str, covered: &mut [bool]) {
    // With the marks that combine with a letter.
    let is_letter =
        |c: char| c.is_alphanumeric() || c.width() == Some(0) || matches!(c, CUT | COVER | WIDE_COVER);
    let is_local = |c: char| is_letter(c) || matches!(c, '.' | '_' | '%' | '+' | '-' | '\'');
    let is_domain = |c: char| is_letter(c) || matches!(c, '.' | '-');
    for (at, _) in text.match_indices('@') {
        let (before, behind) = text.split_at(at);
        let local = before.len() - before.trim_end_matches(is_local).len();
        let behind = behind.get(1..).unwrap_or_default();
        let domain = behind.len() - behind.trim_start_matches(is_domain).len();
        if local == 0 || domain == 0 {
            continue;
        }
        let first = before.get(at - local..).and_then(|local| local.chars().next()).map_or(0, char::len_utf8);
        for (from, to) in [(at - local + first, at), (at + 1, at + 1 + domain)] {
            for (offset, c) in text.get(from..to).unwrap_or_default().char_indices() {
                if c.is_alphanumeric()
                    && let Some(place) = covered.get_mut(from + offset)
                {
                    *place = true;
                }
            }
        }
    }
}

/// An IPv4 or IPv6 address, with or without a port, and nothing else in the word.
fn network(at: usize, word: &str, covered: &mut [bool]) {
    let trimmed = word.trim_end_matches('.');
    // A colon before or behind it is punctuation, two are part of it.
    let trimmed = trimmed.strip_suffix(':').filter(|rest| !rest.ends_with(':')).unwrap_or(trimmed);
    let address = trimmed.trim_start_matches('.');
    let address = address.strip_prefix(':').filter(|rest| !rest.starts_with(':')).unwrap_or(address);
    let begin = trimmed.len() - address.len();
    let digits = |text: &str| text.bytes().any(|b| b.is_ascii_digit());
    let is_v4 = |text: &str| text.matches('.').count() == 3 && IpAddr::from_str(text).is_ok();
    let has_port = || address.matches(':').count() == 1 && SocketAddr::from_str(address).is_ok();
    // `::` alone is also a separator of words.
    let is_v6 = || address.matches(':').count() >= 2 && digits(address) && IpAddr::from_str(address).is_ok();
    if !(is_v4(address) || has_port() || is_v6()) {
        return;
    }
    let end = if has_port() { address.find(':').unwrap_or(address.len()) } else { address.len() };
    for (offset, c) in address.char_indices().take(end) {
        if c.is_ascii_hexdigit()
            && let Some(place) = covered.get_mut(at + begin + offset)
        {
            *place = true;
        }
    }
}

/// Length of the prefix by which a word is known as a secret.
fn secret(word: &str) -> Option<usize> {
    let prefix = SECRET_PREFIXES.iter().find(|prefix| word.starts_with(**prefix))?;
    let body = word.get(prefix.len()..)?;
    // Words of a language have no digits; keys of that length have some.
    (word.len() >= SHORTEST_SECRET && body.bytes().any(|b| b.is_ascii_digit())).then_some(prefix.len())
}

#[cfg(test)]
mod tests {
    use super::super::Safe;
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> String {
        masked(text).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn addresses_and_secrets_are_covered_and_keep_their_form() {
        for (text, expected) in [
            ("by eve.li@corp.example on", "by e▒▒.▒▒@▒▒▒▒.▒▒▒▒▒▒▒ on"),
            ("user:田中@例.jp", "user:田＊@＊.▒▒"),
            ("from 203.0.113.7, again", "from ▒▒▒.▒.▒▒▒.▒, again"),
            ("ip:203.0.113.0/24", "ip:▒▒▒.▒.▒▒▒.▒/24"),
            ("10.1.2.3:443 2001:db8::7.", "▒▒.▒.▒.▒:443 ▒▒▒▒:▒▒▒::▒."),
            ("\"source\":\"::1\"", "\"source\":\"::▒\""),
            ("key AKIAIOSFODNN7EXAMPLE", "key AKIA▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒"),
            ("alice@ac…", "a▒▒▒▒@▒▒…"),
            ("al…ce@corp", "a▒…▒▒@▒▒▒▒"),
        ] {
            assert_eq!(of(text), expected);
        }
    }

    #[test]
    fn times_versions_names_and_paths_stay() {
        for text in [
            "2026-01-15T09:58:01.123456Z",
            "09:58:01",
            "1.2.3",
            "curl/8.9.1",
            "role_binding/rb-7",
            "std::fmt",
            "a::b",
            "sk-ip",
            "ASIA Pacific",
            "@mention",
            "user@",
            "api_key.rotated",
            "feed:beef",
        ] {
            assert_eq!(masked(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_cut_or_broken_stays_covered() {
        let text = Safe::from_untrusted("actor alice.archer@corp.example");
        assert_eq!(text.cut_end(12).masked(), "actor a▒▒▒▒…");
        assert_eq!(text.cut_middle(20).masked(), "actor a▒▒▒…▒.▒▒▒▒▒▒▒");
        let lines = text.wrapped(15);
        assert_eq!(
            lines.iter().map(Safe::masked).collect::<Vec<_>>(),
            ["actor a▒▒▒▒.▒▒▒", "  ▒▒▒@▒▒▒▒.▒▒▒▒", "  ▒▒▒"]
        );
        let both = Safe::concat(&[&Safe::literal(" "), &text.cut_end(12), &Safe::literal(" ")]);
        assert_eq!((both.as_str(), both.masked()), (" actor alice… ", " actor a▒▒▒▒… "));
    }

    proptest! {
        #[test]
        fn the_mask_moves_nothing_and_is_put_on_once(text in "[a-c9.:@ \\-…田é\u{301}]{0,24}", columns in 1usize..12) {
            let text = Safe::composed(&text);
            prop_assert_eq!(text.masked().width(), text.width());
            prop_assert_eq!(of(text.masked()), text.masked());
            for line in text.wrapped_words(columns, 0).iter().chain(&text.wrapped(columns)).chain([&text.cut_end(columns)]) {
                prop_assert_eq!(line.masked().width(), line.width());
                // Nothing that the whole covers is seen in a part of it.
                let seen = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
                prop_assert!(seen(line.masked()) <= seen(line.as_str()));
            }
        }
    }
}
