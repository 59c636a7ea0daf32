//! Names that are no field, and the field that was meant.

use super::{TIME_NAMES, VIRTUAL_NAMES, nearest, shown};
use crate::filter::FilterError;
use crate::filter::field::Field;
use std::ops::Range;

/// What other products call our fields.
const MEANT: &[(&[&str], &str)] = &[
    (
        &["user", "username", "user_name", "user_id", "userid", "who", "principal", "identity", "subject"],
        "actor",
    ),
    (&["user_email", "mail"], "email"),
    (
        &[
            "source_ip",
            "src_ip",
            "srcip",
            "client_ip",
            "clientip",
            "remote_addr",
            "remote_ip",
            "ip_address",
            "ipaddress",
            "sourceipaddress",
            "addr",
            "address",
            "host",
            "hostname",
            "src",
            "source",
        ],
        "ip",
    ),
    (&["object", "target", "entity"], "res"),
    (&["agent", "useragent", "browser", "client"], "ua"),
    (&["level", "priority", "criticality"], "sev"),
    (&["operation", "op", "verb", "method"], "action"),
    (&["event_name", "eventname", "kind"], "type"),
    (&["correlation_id", "trace_id", "requestid"], "req"),
    (&["sid", "sessionid"], "sess"),
];

/// Why a name before an operator is no field.
pub(super) fn no_field(name: &str, span: Range<usize>) -> FilterError {
    let lower = name.to_ascii_lowercase();
    if matches!(lower.as_str(), "org" | "organization" | "organization_id") {
        return FilterError::new(span, "a filter cannot choose the organisation: every query is within one")
            .hint("use --org, or the organisation chooser of the console");
    }
    if matches!(lower.as_str(), "timestamp" | "time" | "created") {
        return FilterError::new(span, "times are chosen by since: and until:").hint("write since:-7d");
    }
    if matches!(lower.as_str(), "old" | "new" | "any" | "previous_state" | "new_state") {
        return FilterError::new(span, format!("'{lower}' wants a path into the state"))
            .hint("write new.role:admin, or changed:* for any change");
    }
    if matches!(lower.as_str(), "tenant" | "customer" | "workspace") {
        return FilterError::new(span, format!("unknown field '{}'", shown(name))).hint(
            "an organisation is chosen by --org, or in the console by its chooser; a project by proj:",
        );
    }
    if matches!(
        lower.as_str(),
        "date"
            | "datetime"
            | "@timestamp"
            | "ts"
            | "from"
            | "to"
            | "before"
            | "after"
            | "earliest"
            | "latest"
    ) {
        return FilterError::new(span, "times are chosen by since: and until:").hint("write since:-7d");
    }
    let error = FilterError::new(span, format!("unknown field '{}'", shown(name)));
    if let Some((_, meant)) = MEANT.iter().find(|(words, _)| words.contains(&lower.as_str())) {
        return error
            .hint(format!("did you mean '{meant}'? a key of the states is written any.{}", shown(name)));
    }
    let known = Field::all().flat_map(|f| f.names().iter().copied());
    match nearest(&lower, known.chain(TIME_NAMES).chain(VIRTUAL_NAMES)) {
        Some(nearest) => error.hint(format!("did you mean '{nearest}'?")),
        _ => error.hint(format!(
            "the fields are {}; keys of the states are written new.{1}, old.{1} or any.{1}; a text with '{2}' in it \
             goes in quotes",
            Field::all().map(Field::name).collect::<Vec<_>>().join(", "),
            shown(name),
            ':'
        )),
    }
}
