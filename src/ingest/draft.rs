//! What the mappings of sources other than our own and CloudTrail share: looking a record up by paths, and making an event
//! of what was found.
//!
//! The whole record is kept in `new_state`, whatever the columns take of it, so that no mapping loses anything:
//! `{"source_format":"gcp","source_record":{…}}`. By these two members it is told from a state
//! ([`crate::domain::CALL_RECORDS`]). Where the record tells values before and after, `previous_state` is
//! `{"changed":{…}}` with the former, and `new_state` has `changed` with the latter beside the record: that can be compared.

use super::format::{Format, Opened};
use super::record::{Members, alike};
use super::{Mapped, Mapping, Reject, address, time};
use crate::chain::{Canonicaliser, Limits, sha256};
use crate::domain::{AUDIT_RECORD, Action, ActorType, Category, Json, LIMITS, NewEvent, OrgId, Severity};
use serde_json::{Map, Value};

/// The actor of a record that names none.
pub(super) const NOBODY: &str = "unknown";
/// The same as the page of importers shows it.
pub(super) const NOBODY_SHOWN: &str = "`unknown`";

/// A record: its text, and its values for looking up. Numbers of the text keep their digits, those looked up need not.
pub(super) struct Record<'a> {
    text: &'a str,
    /// Its members as they are written.
    pub(super) members: Members<'a>,
    /// The values.
    pub(super) root: Value,
}

impl<'a> Record<'a> {
    /// Reads a record, which is what `open` takes for one. Keys that stand twice are refused.
    pub(super) fn parse(text: &'a str, open: fn(&Members<'_>) -> Opened) -> Result<Self, Reject> {
        let members = Members::parse(text)?;
        // The mappings can do with little: what is of another kind must not become an event of theirs.
        if open(&members) != Opened::Record {
            return Err(Reject::new(Format::unsupported(&members)));
        }
        let root = serde_json::from_str(text).map_err(|e| super::record::malformed(text, &e))?;
        Ok(Self { text, members, root })
    }
}

/// The value at a path of keys and indices below another one, such as `user>username`; `None` when it is absent or `null`.
/// The index `-1` is the last element.
/// A key in another case, or with underscores, is found where the exact one is absent: forwarders, tables and client
/// libraries spell keys anew.
pub(super) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    let found = path.split('>').try_fold(value, |value, step| match value {
        Value::Object(members) => members
            .get(step)
            .or_else(|| members.iter().find(|(key, _)| alike(key, step)).map(|(_, value)| value)),
        Value::Array(elements) if step == "-1" => elements.last(),
        Value::Array(elements) => step.parse::<usize>().ok().and_then(|n| elements.get(n)),
        _ => None,
    })?;
    (!found.is_null()).then_some(found)
}

/// A scalar as text, without blanks at its ends; `None` for a blank one and for what is no scalar.
pub(super) fn text_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// The first of some paths below a value that has a text which is not blank; numbers and truth values are texts, too.
pub(super) fn text_at(value: &Value, paths: &[&str]) -> Option<String> {
    paths.iter().find_map(|path| at(value, path).and_then(text_of))
}

/// The elements of a list below a value; none where there is no list.
pub(super) fn list_at<'v>(value: &'v Value, path: &str) -> &'v [Value] {
    at(value, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A time as it is written, and where it may stand.
#[derive(Debug, Default)]
pub(super) struct When {
    paths: &'static [&'static str],
    found: Option<(&'static str, String)>,
    known: Option<time::Moment>,
}

impl When {
    /// An instant that was read already.
    pub(super) fn known(moment: time::Moment) -> Self {
        Self { known: Some(moment), ..Self::default() }
    }

    /// The first of some paths, in the order of preference, that has a time below a value.
    pub(super) fn of(value: &Value, paths: &'static [&'static str]) -> Self {
        let found = paths.iter().find_map(|path| Some((*path, text_at(value, &[path])?)));
        Self { paths, found, known: None }
    }

    /// A time that was found otherwise, at a path.
    pub(super) fn found(paths: &'static [&'static str; 1], text: Option<String>) -> Self {
        let [path] = paths;
        Self { paths, found: text.map(|text| (*path, text)), known: None }
    }

    /// The same of another value where this one has none.
    pub(super) fn or_of(self, value: &Value, paths: &'static [&'static str]) -> Self {
        if self.found.is_some() { self } else { Self { paths: self.paths, ..Self::of(value, paths) } }
    }
}

/// A value that may be JSON in a text, as what it is.
pub(super) fn unwrapped(value: &Value) -> Value {
    let parsed = value.as_str().and_then(|text| serde_json::from_str(text).ok());
    parsed.unwrap_or_else(|| value.clone())
}

/// Values before and after, by name.
#[derive(Debug, Default)]
pub(super) struct Changes {
    before: Map<String, Value>,
    after: Map<String, Value>,
}

impl Changes {
    /// Adds a value; `None` where it did not exist. What is the same on both sides is no change.
    pub(super) fn push(&mut self, name: &str, before: Option<Value>, after: Option<Value>) {
        if before != after {
            self.before.extend(before.map(|value| (name.to_owned(), value)));
            self.after.extend(after.map(|value| (name.to_owned(), value)));
        }
    }

    /// Adds what properties were and are, by the name at `name`; their values may be JSON in texts, of which blank ones and
    /// empty lists are no value.
    pub(super) fn push_properties<'v>(
        &mut self,
        properties: impl IntoIterator<Item = &'v Value>,
        name: &str,
    ) {
        for property in properties {
            // That one lists the names of the others.
            let Some(name) = text_at(property, &[name]).filter(|name| name != "Included Updated Properties")
            else {
                continue;
            };
            let side = |key: &str| {
                let value = at(property, key).map(unwrapped)?;
                let is_nothing = value.is_null()
                    || value.as_str().is_some_and(|text| text.trim().is_empty())
                    || value.as_array().is_some_and(Vec::is_empty);
                (!is_nothing).then_some(value)
            };
            self.push(&name, side("oldValue"), side("newValue"));
        }
    }

    /// Whether a text is among the values after.
    pub(super) fn after_has(&self, text: &str) -> bool {
        fn inside(value: &Value, text: &str) -> bool {
            match value {
                Value::String(own) => own == text,
                Value::Array(elements) => elements.iter().any(|e| inside(e, text)),
                Value::Object(members) => members.values().any(|v| inside(v, text)),
                _ => false,
            }
        }
        self.after.values().any(|value| inside(value, text))
    }

    fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }
}

/// An event in the making: what a record says, at any length and in the source's own spelling.
pub(super) struct Draft {
    /// The record's own id, if it is unique within the organisation for all time.
    pub(super) id: Option<String>,
    /// Its time.
    pub(super) when: When,
    /// Whose it is, if the record says so.
    pub(super) organization: Option<String>,
    pub(super) project: Option<String>,
    pub(super) actor_type: ActorType,
    pub(super) actor: Option<String>,
    /// In any spelling, with a port or none; what is no address stays in the state only.
    pub(super) address: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) category: Category,
    pub(super) severity: Severity,
    pub(super) action: Action,
    pub(super) event_type: String,
    pub(super) resource_type: String,
    pub(super) resource: Option<String>,
    pub(super) resource_name: Option<String>,
    pub(super) changes: Changes,
    pub(super) request: Option<String>,
    pub(super) session: Option<String>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            id: None,
            when: When::default(),
            organization: None,
            project: None,
            actor_type: ActorType::User,
            actor: None,
            address: None,
            user_agent: None,
            category: Category::Config,
            severity: Severity::Info,
            action: Action::Update,
            event_type: String::new(),
            resource_type: String::new(),
            resource: None,
            resource_name: None,
            changes: Changes::default(),
            request: None,
            session: None,
        }
    }
}

impl Draft {
    /// The event. Texts that are too long for their column are cut, identifiers at their beginning; the record has them
    /// whole.
    ///
    /// # Errors
    /// Where the record has no time, names no organisation and none was given, or holds what no state can.
    pub(super) fn finish(
        self,
        source: &str,
        record: &Record<'_>,
        mapping: &Mapping,
    ) -> Result<Mapped, Reject> {
        let organization_id = match (&mapping.organization, &self.organization) {
            (Some(named), _) => named.clone(),
            (None, Some(own)) => {
                OrgId::new(own.as_str()).map_err(|e| Reject::new(format!("organisation: {e}")))?
            }
            (None, None) => {
                return Err(Reject::new("the record names no organisation: say with --org whose it is"));
            }
        };
        let moment = self.moment(mapping)?;
        let event_id = match &self.id {
            Some(id) if id.chars().count() <= limit("event_id") => id.clone(),
            Some(id) => sha256(id),
            None => id_of_content(record.text).map_err(|e| Reject::new(format!("no id can be made: {e}")))?,
        };
        let actor = self.actor.as_deref().unwrap_or(NOBODY);
        // An address that is cut is another one, and a name such as `app@sharepoint` is none.
        let has_domain = actor.rsplit_once('@').is_some_and(|(_, domain)| domain.contains('.'));
        let is_address = has_domain && actor.chars().count() <= limit("actor_email");
        let resource = self.resource.as_deref().unwrap_or(&self.event_type);
        let resource_id = last("resource_id", resource);
        let name = self.resource_name.as_deref().or((resource_id != resource).then_some(resource));
        let request_id = last("request_id", self.request.as_deref().unwrap_or(&event_id));
        let (previous_state, new_state) = states(source, &self.changes, record.text);
        let event = NewEvent {
            timestamp: moment.timestamp,
            organization_id,
            project_id: self.project.as_deref().map(|project| last("project_id", project)),
            actor_type: self.actor_type,
            actor_id: last("actor_id", actor),
            actor_email: is_address.then(|| actor.to_owned()),
            actor_ip: self.address.as_deref().and_then(address::client),
            actor_user_agent: self.user_agent,
            event_category: self.category,
            event_severity: self.severity,
            action: self.action,
            event_type: first("event_type", &self.event_type),
            resource_type: first("resource_type", &self.resource_type),
            resource_name: name.map(|name| last("resource_name", name)),
            resource_id,
            previous_state,
            new_state: Some(new_state),
            request_id,
            session_id: self.session.as_deref().map(|session| last("session_id", session)),
            event_id,
        };
        Ok(Mapped { leap_second: moment.leap_second, ..Mapped::new(event) })
    }

    fn moment(&self, mapping: &Mapping) -> Result<time::Moment, Reject> {
        if let Some(moment) = self.when.known {
            return Ok(moment);
        }
        let name = |path: &'static str| path.rsplit('>').next().unwrap_or(path);
        let Some((path, text)) = &self.when.found else {
            let time = mapping.default_time.map(|timestamp| time::Moment { timestamp, leap_second: false });
            return time.ok_or_else(|| {
                let names: Vec<&str> = self.when.paths.iter().map(|path| name(path)).take(3).collect();
                let names = names.join(", ");
                Reject::new(format!(
                    "the record has no time ({names}): --default-time says which one it gets"
                ))
            });
        };
        if let Some(moment) = time::since_epoch(text).or_else(|| time::american(text)) {
            return Ok(moment);
        }
        mapping.time(name(path), text, Some(chrono_tz::UTC))
    }
}

/// The states of an event: the record, and of a record with changes these.
fn states(source: &str, changes: &Changes, text: &str) -> (Option<Json>, Json) {
    let record = format!("\"{}\":\"{source}\",\"{}\":{text}}}", AUDIT_RECORD.all[0], AUDIT_RECORD.all[1]);
    if changes.is_empty() {
        return (None, Json::from_trusted(format!("{{{record}")));
    }
    let changed = |side: &Map<String, Value>| serde_json::json!({ "changed": side }).to_string();
    let after = changed(&changes.after);
    let after = after.strip_suffix('}').unwrap_or(&after);
    (Some(Json::from_trusted(changed(&changes.before))), Json::from_trusted(format!("{after},{record}")))
}

/// The id of a record that brings none: a hash of its canonical form, the same in every delivery.
pub(super) fn id_of_content(text: &str) -> Result<String, String> {
    let mut canonical = Vec::new();
    Canonicaliser::new(Limits::WRITE).append(text.as_bytes(), &mut canonical).map_err(|e| e.to_string())?;
    Ok(sha256(&canonical))
}

/// Texts joined to one that is another one for any other texts.
pub(super) fn joined(parts: &[&str]) -> String {
    sha256(serde_json::json!(parts).to_string())
}

fn limit(column: &str) -> usize {
    LIMITS.iter().find(|(name, _)| *name == column).map_or(usize::MAX, |(_, limit)| *limit)
}

/// As much of a text as a column holds, from its beginning.
pub(super) fn first(column: &str, text: &str) -> String {
    text.chars().take(limit(column)).collect()
}

/// As much of a text as a column holds, from its end: the end of an ARN tells more than its beginning.
pub(super) fn last(column: &str, text: &str) -> String {
    let length = text.chars().count();
    text.chars().skip(length.saturating_sub(limit(column))).collect()
}

/// What a verb does, by its first letters, without case; `None` for one that is not known.
pub(super) fn action_of(verb: &str) -> Option<Action> {
    const VERBS: &[(Action, &[&str])] = &[
        (Action::Export, &["export", "download", "copy", "listkeys", "transfer"]),
        (
            Action::Delete,
            &[
                "delete",
                "remove",
                "destroy",
                "purge",
                "revoke",
                "unassign",
                "deactivate",
                "detach",
                "disassociate",
                "terminate",
                "cancel",
            ],
        ),
        (
            Action::Read,
            &[
                "get",
                "list",
                "read",
                "view",
                "watch",
                "head",
                "options",
                "describe",
                "query",
                "search",
                "access",
                "fetch",
                "preview",
                "test",
                "lookup",
                "aggregated",
                "batchget",
                "check",
            ],
        ),
        (
            Action::Create,
            &[
                "create", "insert", "add", "new", "upload", "generate", "register", "post", "assign",
                "invite", "start", "userlogg", "login", "sign", "restore", "undelete", "attach", "grant",
                "activate",
            ],
        ),
        (
            Action::Update,
            &[
                "update", "patch", "put", "set", "modify", "change", "edit", "rename", "replace", "enable",
                "disable",
            ],
        ),
    ];
    let verb = verb.to_ascii_lowercase();
    VERBS
        .iter()
        .find(|(_, verbs)| verbs.iter().any(|known| verb.starts_with(known)))
        .map(|(action, _)| *action)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CallRecord;

    fn any(text: &str) -> Record<'_> {
        Record::parse(text, |_| Opened::Record).unwrap()
    }

    #[test]
    fn paths_find_keys_in_any_case_and_elements() {
        let Record { root, .. } = any(r#"{"protopayload":{"List":[{"a":" x "},null]},"n":7,"t":"  "}"#);
        assert_eq!(text_at(&root, &["protoPayload>list>0>A"]).as_deref(), Some("x"));
        assert_eq!(text_at(&root, &["t", "n"]).as_deref(), Some("7"), "what is blank is passed over");
        assert!(at(&root, "protoPayload>list>1").is_none(), "null is absent");
    }

    #[test]
    fn an_id_that_is_too_long_becomes_a_hash_of_itself_and_none_one_of_the_content() {
        let mapping = Mapping { organization: Some(OrgId::new("acme").unwrap()), ..Mapping::default() };
        let id = |id: Option<&str>, text: &str| {
            let record = any(text);
            let draft = Draft {
                id: id.map(str::to_owned),
                when: When::of(&record.root, &["t"]),
                event_type: "x".to_owned(),
                ..Draft::default()
            };
            match draft.finish("okta", &record, &mapping).unwrap().event {
                super::super::Incoming::New(event) => event.event_id,
                super::super::Incoming::Preserved(_) => String::new(),
            }
        };
        let (one, other) = (r#"{"t":"2026-01-01T00:00:00Z","a":1}"#, r#"{"a":1,"t":"2026-01-01T00:00:00Z"}"#);
        assert_eq!(id(Some("-x="), one), "-x=");
        assert_eq!(id(Some(&"x".repeat(65)), one).len(), 64);
        assert_eq!(id(None, one), id(None, other), "the order of members does not matter");
        assert_ne!(id(None, one), id(None, &one.replace('1', "2")));
    }

    #[test]
    fn a_record_without_a_time_gets_the_one_that_was_given_or_is_refused_with_the_remedy() {
        let record = any(r#"{"a":1}"#);
        let mut mapping = Mapping { organization: Some(OrgId::new("acme").unwrap()), ..Mapping::default() };
        let draft =
            || Draft { when: When::of(&record.root, &["a>stageTimestamp", "time"]), ..Draft::default() };
        let why = draft().finish("okta", &record, &mapping).unwrap_err().to_string();
        assert!(why.contains("no time (stageTimestamp, time)") && why.contains("--default-time"), "{why}");
        mapping.default_time = Some(crate::domain::Timestamp::from_micros(7));
        assert!(draft().finish("okta", &record, &mapping).is_ok());
    }

    #[test]
    fn changes_stand_on_both_sides_and_the_record_beside_them() {
        let mut changes = Changes::default();
        changes.push("role", Some("reader".into()), Some("owner".into()));
        changes.push("same", Some(1.into()), Some(1.into()));
        changes.push("new", None, Some(2.into()));
        let (before, after) = states("okta", &changes, r#"{"big":1.10}"#);
        assert_eq!(before.unwrap().as_str(), r#"{"changed":{"role":"reader"}}"#);
        assert_eq!(
            after.as_str(),
            r#"{"changed":{"new":2,"role":"owner"},"source_format":"okta","source_record":{"big":1.10}}"#
        );
        assert!(CallRecord::of(Some("{}"), Some(after.as_str())).is_none(), "it can be compared");
        let (before, after) = states("okta", &Changes::default(), "{}");
        assert_eq!(before, None);
        assert_eq!(CallRecord::of(None, Some(after.as_str())), Some(&AUDIT_RECORD), "it cannot");
    }
}
