//! Scheme `agenttrace-v1`: the text of an event that is hashed, and the hash.

use super::canonical::{Canonicaliser, JsonError};
use super::text;
use crate::domain::{ColumnError, Event, Json, Timestamp};
use sha2::{Digest as _, Sha256};

/// Name of the scheme.
pub const SCHEME: &str = "agenttrace-v1";

/// Which columns are hashed. The layout of the text is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// `agenttrace-v1`: what the original system stores, and we write: all 21 columns but `hash`.
    V1,
    /// `agenttrace-v1-service`: what the original system's verification service computes: 18 columns. The links are
    /// not protected by it.
    Service,
}

impl Scheme {
    /// All, the most likely one first.
    pub const ALL: &'static [Self] = &[Self::V1, Self::Service];

    /// Its name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => SCHEME,
            Self::Service => "agenttrace-v1-service",
        }
    }
}

/// Other spellings of what a row may have lost (an address, a float's exponent); `None` stands for the spelling that
/// PostgreSQL gives back. Those of its time: [`Stem`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spelling<'a> {
    pub(super) address: Option<&'a str>,
    /// Canonical text.
    pub(super) new_state: Option<&'a [u8]>,
    /// Canonical text.
    pub(super) previous_state: Option<&'a [u8]>,
}

/// The columns of an event that its hash covers, borrowed; the 21st, `previous_hash`, is given when the hash is made.
/// As bytes they are as they came, not yet known to be UTF-8.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are the columns of the seed, under their own names")]
pub struct Columns<'a, T: ?Sized> {
    pub event_id: &'a T,
    pub timestamp: Timestamp,
    pub organization_id: &'a T,
    pub project_id: Option<&'a T>,
    pub actor_type: &'a T,
    pub actor_id: &'a T,
    pub actor_email: Option<&'a T>,
    /// As PostgreSQL prints it.
    pub actor_ip: Option<&'a T>,
    pub actor_user_agent: Option<&'a T>,
    pub event_category: &'a T,
    pub event_type: &'a T,
    pub event_severity: &'a T,
    pub resource_type: &'a T,
    pub resource_id: &'a T,
    pub resource_name: Option<&'a T>,
    pub action: &'a T,
    /// JSON text in any spelling.
    pub previous_state: Option<&'a T>,
    pub new_state: Option<&'a T>,
    pub request_id: &'a T,
    pub session_id: Option<&'a T>,
}

/// The columns as texts.
pub type Fields<'a> = Columns<'a, str>;

// Derived, they would ask the same of the text.
impl<T: ?Sized> Copy for Columns<'_, T> {}
impl<T: ?Sized> Clone for Columns<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<'a> Columns<'a, [u8]> {
    /// The columns as texts.
    ///
    /// # Errors
    /// The first column that is not UTF-8.
    pub fn texts(self) -> Result<Fields<'a>, ColumnError> {
        let optional = |column, value: Option<&'a [u8]>| value.map(|value| utf8(column, value)).transpose();
        Ok(Fields {
            event_id: utf8("event_id", self.event_id)?,
            timestamp: self.timestamp,
            organization_id: utf8("organization_id", self.organization_id)?,
            project_id: optional("project_id", self.project_id)?,
            actor_type: utf8("actor_type", self.actor_type)?,
            actor_id: utf8("actor_id", self.actor_id)?,
            actor_email: optional("actor_email", self.actor_email)?,
            actor_ip: optional("actor_ip", self.actor_ip)?,
            actor_user_agent: optional("actor_user_agent", self.actor_user_agent)?,
            event_category: utf8("event_category", self.event_category)?,
            event_type: utf8("event_type", self.event_type)?,
            event_severity: utf8("event_severity", self.event_severity)?,
            resource_type: utf8("resource_type", self.resource_type)?,
            resource_id: utf8("resource_id", self.resource_id)?,
            resource_name: optional("resource_name", self.resource_name)?,
            action: utf8("action", self.action)?,
            previous_state: optional("previous_state", self.previous_state)?,
            new_state: optional("new_state", self.new_state)?,
            request_id: utf8("request_id", self.request_id)?,
            session_id: optional("session_id", self.session_id)?,
        })
    }
}

/// The value of a column as a text.
///
/// # Errors
/// It is not UTF-8; the error names the column.
pub(crate) fn utf8<'a>(column: &'static str, value: &'a [u8]) -> Result<&'a str, ColumnError> {
    std::str::from_utf8(value).map_err(|_| ColumnError { column, reason: "not UTF-8".to_owned() })
}

impl<'a> From<&'a Event> for Fields<'a> {
    fn from(event: &'a Event) -> Self {
        let row = &event.row;
        Self {
            event_id: &row.event_id,
            timestamp: row.timestamp,
            organization_id: &row.organization_id,
            project_id: row.project_id.as_deref(),
            actor_type: &row.actor_type,
            actor_id: &row.actor_id,
            actor_email: row.actor_email.as_deref(),
            actor_ip: row.actor_ip.as_deref(),
            actor_user_agent: row.actor_user_agent.as_deref(),
            event_category: &row.event_category,
            event_type: &row.event_type,
            event_severity: &row.event_severity,
            resource_type: &row.resource_type,
            resource_id: &row.resource_id,
            resource_name: row.resource_name.as_deref(),
            action: &row.action,
            previous_state: event.previous_state.as_ref().map(Json::as_str),
            new_state: event.new_state.as_ref().map(Json::as_str),
            request_id: &row.request_id,
            session_id: row.session_id.as_deref(),
        }
    }
}

/// The canonical text of an event without its predecessor: equal texts are equal events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventText {
    text: Vec<u8>,
    /// Where the previous hash goes.
    link_at: usize,
}

impl EventText {
    /// Writes the canonical text.
    ///
    /// # Errors
    /// When a state cannot be canonicalised, or the time is outside the years 1 to 9999, which is all that Python's
    /// `datetime` can hold; the error names the column.
    pub fn of(fields: &Fields<'_>, json: &mut Canonicaliser) -> Result<Self, ColumnError> {
        let mut text = Vec::with_capacity(1024);
        let link_at = append_text(Scheme::V1, fields, "", &Spelling::default(), json, &mut text)?;
        Ok(Self { text, link_at })
    }

    /// The hash of the event behind a predecessor with this hash (`""` for a genesis).
    pub fn hash(&self, previous_hash: &str) -> [u8; 32] {
        let (before, after) = self.text.split_at(self.link_at);
        let mut sha = Sha256::new();
        sha.update(before);
        if text::plain_run(previous_hash.as_bytes()) == previous_hash.len() {
            sha.update(previous_hash);
        } else {
            let mut escaped = Vec::new();
            text::push_escaped(previous_hash, &mut escaped);
            sha.update(&escaped);
        }
        sha.update(after);
        sha.finalize().into()
    }

    /// The whole text that [`Self::hash`] hashes. It is ASCII.
    pub fn preimage(&self, previous_hash: &str) -> String {
        let (before, after) = self.text.split_at(self.link_at);
        let mut text = before.to_vec();
        text::push_escaped(previous_hash, &mut text);
        text.extend_from_slice(after);
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// A hash as the column holds it: 64 lower-case hexadecimal digits.
pub fn to_hex(hash: &[u8; 32]) -> String {
    let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
    hash.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// SHA-256 of some bytes as [`to_hex`] writes it.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    to_hex(&Sha256::digest(bytes).into())
}

/// The hash of a text up to its time, which stands last in it: the same text with another time costs a block or two more,
/// however long it is.
#[derive(Debug, Clone)]
pub(super) struct Stem(Sha256);

/// What stands behind the time.
const BEHIND_TIME: &[u8] = b"\"}";

impl Stem {
    /// Of a text that [`append_text`] wrote.
    pub(super) fn of(text: &[u8]) -> Self {
        Self(Sha256::new_with_prefix(text.get(..time_at(text)).unwrap_or_default()))
    }

    /// The hash of the text with this time, which needs no escapes.
    pub(super) fn with_time(&self, time: &str) -> [u8; 32] {
        let mut sha = self.0.clone();
        sha.update(time);
        sha.update(BEHIND_TIME);
        sha.finalize().into()
    }
}

/// Where the time begins in a text that [`append_text`] wrote.
fn time_at(text: &[u8]) -> usize {
    let before = text.strip_suffix(BEHIND_TIME).unwrap_or(text);
    before.iter().rposition(|byte| *byte == b'"').map_or(0, |quote| quote + 1)
}

/// Puts another time, which needs no escapes, into a text that [`append_text`] wrote.
pub(super) fn put_time(text: &mut Vec<u8>, time: &str) {
    text.truncate(time_at(text));
    text.extend_from_slice(time.as_bytes());
    text.extend_from_slice(BEHIND_TIME);
}

/// An instant as Python's `isoformat()` prints it; `None` when the year has not four digits.
pub(super) fn isoformat(time: Timestamp) -> Option<String> {
    let mut text = Vec::with_capacity(40);
    push_time(time, &mut text)?;
    String::from_utf8(text).ok()
}

/// Appends the text that a scheme hashes; returns where in `out` the text of the previous hash ends.
///
/// # Errors
/// When a state cannot be canonicalised, or a value is not UTF-8; the error names its column.
pub(super) fn append_text<T: AsRef<[u8]> + ?Sized>(
    scheme: Scheme,
    fields: &Columns<'_, T>,
    previous_hash: &T,
    spelling: &Spelling<'_>,
    json: &mut Canonicaliser,
    out: &mut Vec<u8>,
) -> Result<usize, ColumnError> {
    let all = scheme == Scheme::V1;
    // The keys in code-point order.
    required("{\"action\": \"", fields.action, out)?;
    optional(", \"actor_email\": ", fields.actor_email, out)?;
    required(", \"actor_id\": \"", fields.actor_id, out)?;
    if all {
        match spelling.address {
            Some(address) => optional(", \"actor_ip\": ", Some(address), out)?,
            None => optional(", \"actor_ip\": ", fields.actor_ip, out)?,
        }
    }
    required(", \"actor_type\": \"", fields.actor_type, out)?;
    if all {
        optional(", \"actor_user_agent\": ", fields.actor_user_agent, out)?;
    }
    required(", \"event_category\": \"", fields.event_category, out)?;
    required(", \"event_id\": \"", fields.event_id, out)?;
    required(", \"event_severity\": \"", fields.event_severity, out)?;
    required(", \"event_type\": \"", fields.event_type, out)?;
    out.extend_from_slice(b", \"new_state\": ");
    state("new_state", fields.new_state, spelling.new_state, json, out)?;
    required(", \"organization_id\": \"", fields.organization_id, out)?;
    let mut link_at = 0;
    if all {
        required(", \"previous_hash\": \"", previous_hash, out)?;
        link_at = out.len() - 1;
    }
    out.extend_from_slice(b", \"previous_state\": ");
    state("previous_state", fields.previous_state, spelling.previous_state, json, out)?;
    optional(", \"project_id\": ", fields.project_id, out)?;
    required(", \"request_id\": \"", fields.request_id, out)?;
    required(", \"resource_id\": \"", fields.resource_id, out)?;
    optional(", \"resource_name\": ", fields.resource_name, out)?;
    required(", \"resource_type\": \"", fields.resource_type, out)?;
    optional(", \"session_id\": ", fields.session_id, out)?;
    out.extend_from_slice(b", \"timestamp\": \"");
    push_time(fields.timestamp, out).ok_or_else(|| ColumnError {
        column: "timestamp",
        reason: format!("{} is outside the years 1 to 9999 that {SCHEME} can write", fields.timestamp),
    })?;
    out.extend_from_slice(BEHIND_TIME);
    Ok(link_at)
}

/// A column that is never NULL; the key has the opening quote.
#[expect(clippy::inline_always, reason = "with the length of the key known, it is copied without a call")]
#[inline(always)]
fn required<T: AsRef<[u8]> + ?Sized>(
    key: &'static str,
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), ColumnError> {
    out.extend_from_slice(key.as_bytes());
    push_value(key, value.as_ref(), out)?;
    out.push(b'"');
    Ok(())
}

#[expect(clippy::inline_always, reason = "with the length of the key known, it is copied without a call")]
#[inline(always)]
fn optional<T: AsRef<[u8]> + ?Sized>(
    key: &'static str,
    value: Option<&T>,
    out: &mut Vec<u8>,
) -> Result<(), ColumnError> {
    out.extend_from_slice(key.as_bytes());
    let Some(value) = value else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    out.push(b'"');
    push_value(key, value.as_ref(), out)?;
    out.push(b'"');
    Ok(())
}

/// Appends a value without quotes. Most are plain ASCII, so only what follows the first other byte is looked at as UTF-8.
fn push_value(key: &'static str, value: &[u8], out: &mut Vec<u8>) -> Result<(), ColumnError> {
    let (plain, rest) = value.split_at(text::plain_run(value));
    out.extend_from_slice(plain);
    if !rest.is_empty() {
        let column = key.trim_matches(|c: char| !c.is_ascii_alphabetic());
        text::push_escaped(utf8(column, rest)?, out);
    }
    Ok(())
}

fn state<T: AsRef<[u8]> + ?Sized>(
    column: &'static str,
    stored: Option<&T>,
    spelled: Option<&[u8]>,
    json: &mut Canonicaliser,
    out: &mut Vec<u8>,
) -> Result<(), ColumnError> {
    match (spelled, stored) {
        (Some(spelled), _) => out.extend_from_slice(spelled),
        (None, Some(stored)) => json
            .append(stored.as_ref(), out)
            .map_err(|e: JsonError| ColumnError { column, reason: e.to_string() })?,
        (None, None) => out.extend_from_slice(b"null"),
    }
    Ok(())
}

/// Appends an instant as Python's `isoformat()` prints it, without going through a formatter (it is done for every
/// event). `None` when the year has not four digits.
fn push_time(time: Timestamp, out: &mut Vec<u8>) -> Option<()> {
    const DAY: i64 = 86_400_000_000;
    let (days, micros) = (time.as_micros().div_euclid(DAY), time.as_micros().rem_euclid(DAY));
    let (year, month, day) = civil(days)?;
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let mut text = *b"0000-00-00T00:00:00.000000+00:00";
    let mut put = |at: usize, width: usize, mut value: i64| {
        for digit in text.iter_mut().skip(at).take(width).rev() {
            *digit += (value % 10) as u8;
            value /= 10;
        }
    };
    put(0, 4, year);
    put(5, 2, month);
    put(8, 2, day);
    put(11, 2, seconds / 3600);
    put(14, 2, seconds / 60 % 60);
    put(17, 2, seconds % 60);
    put(20, 6, fraction);
    // Python leaves out a fraction of nothing.
    let (time, fraction_and_offset) = text.split_at(19);
    out.extend_from_slice(time);
    out.extend_from_slice(fraction_and_offset.get(if fraction == 0 { 7 } else { 0 }..).unwrap_or_default());
    Some(())
}

/// Year, month and day of a day counted from 1970-01-01, for the years 1 to 9999 (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    const YEAR_1: i64 = -719_162;
    const YEAR_10000: i64 = 2_932_897;
    if !(YEAR_1..YEAR_10000).contains(&days) {
        return None;
    }
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    Some((year_of_era + era * 400 + i64::from(month <= 2), month, day))
}

#[cfg(test)]
mod tests {
    use super::super::Limits;
    use super::*;
    use proptest::prelude::*;

    fn event() -> Fields<'static> {
        Fields {
            event_id: "evt-1",
            timestamp: Timestamp::from_micros(1_767_600_061_147_504),
            organization_id: "org-é",
            project_id: None,
            actor_type: "user",
            actor_id: "u-1",
            actor_email: Some("a@example.org"),
            actor_ip: None,
            actor_user_agent: Some("curl/8 \"x\""),
            event_category: "admin",
            event_type: "user.created",
            event_severity: "info",
            resource_type: "user",
            resource_id: "u-2",
            resource_name: None,
            action: "create",
            previous_state: None,
            new_state: Some(r#"{"role":"viewer","id":2}"#),
            request_id: "r-1",
            session_id: None,
        }
    }

    fn content(fields: &Fields<'_>) -> EventText {
        EventText::of(fields, &mut Canonicaliser::new(Limits::WRITE)).unwrap()
    }

    #[test]
    fn hashes_are_those_of_sha_256() {
        assert_eq!(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn the_text_is_what_python_writes() {
        let text = content(&event()).preimage("ab\u{1}");
        assert_eq!(
            text,
            r#"{"action": "create", "actor_email": "a@example.org", "actor_id": "u-1", "actor_ip": null, "actor_type": "user", "actor_user_agent": "curl/8 \"x\"", "event_category": "admin", "event_id": "evt-1", "event_severity": "info", "event_type": "user.created", "new_state": {"id": 2, "role": "viewer"}, "organization_id": "org-\u00e9", "previous_hash": "ab\u0001", "previous_state": null, "project_id": null, "request_id": "r-1", "resource_id": "u-2", "resource_name": null, "resource_type": "user", "session_id": null, "timestamp": "2026-01-05T08:01:01.147504+00:00"}"#
        );
    }

    #[test]
    fn the_hash_is_of_the_whole_text() {
        let content = content(&event());
        for previous in ["", "00ff", "\"\\é"] {
            let whole: [u8; 32] = Sha256::digest(content.preimage(previous)).into();
            assert_eq!(content.hash(previous), whole);
        }
        assert_eq!(to_hex(&[0xa1; 32]), "a1".repeat(32));
    }

    #[test]
    fn a_stem_hashes_the_text_with_another_time() {
        let moved = Fields { timestamp: Timestamp::from_micros(1), ..event() };
        let stem = Stem::of(content(&event()).preimage("ab").as_bytes());
        for fields in [event(), moved] {
            let time = isoformat(fields.timestamp).unwrap();
            assert_eq!(stem.with_time(&time), content(&fields).hash("ab"));
        }
        assert_eq!(isoformat(Timestamp::INFINITY), None);
    }

    #[test]
    fn a_refused_state_is_named() {
        let fields = Fields { previous_state: Some("{\"a\":\"\\u0000\"}"), ..event() };
        let error = EventText::of(&fields, &mut Canonicaliser::new(Limits::WRITE)).unwrap_err();
        assert_eq!(error.to_string(), "previous_state: \\u0000 cannot be stored in jsonb (at byte 6)");
    }

    /// Year 1 and year 10000, in microseconds.
    const FIRST: i64 = -62_135_596_800_000_000;
    const END: i64 = 253_402_300_800_000_000;

    #[test]
    fn times_that_python_cannot_hold_are_refused() {
        for micros in [FIRST - 1, END, i64::MIN, i64::MAX] {
            let fields = Fields { timestamp: Timestamp::from_micros(micros), ..event() };
            let error = EventText::of(&fields, &mut Canonicaliser::new(Limits::WRITE)).unwrap_err();
            assert_eq!(error.column, "timestamp");
        }
        assert!(push_time(Timestamp::from_micros(END - 1), &mut Vec::new()).is_some());
    }

    proptest! {
        #[test]
        fn instants_are_printed_as_the_slow_way_does(micros in FIRST..END, whole in any::<bool>()) {
            let time = Timestamp::from_micros(if whole { micros - micros.rem_euclid(1_000_000) } else { micros });
            let mut out = Vec::new();
            prop_assert!(push_time(time, &mut out).is_some());
            prop_assert_eq!(String::from_utf8(out).unwrap(), time.to_python_isoformat());
        }
    }
}
