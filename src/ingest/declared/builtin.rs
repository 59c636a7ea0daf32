//! The sources whose tables come with the program.

/// A source: its table, and the functions that a row of formats wants.
macro_rules! builtin {
    ($(#[$doc:meta])* $name:ident, $kinds:expr) => {
        $(#[$doc])*
        pub(in crate::ingest) mod $name {
            use crate::ingest::declared::{Declared, file};
            use crate::ingest::format::Opened;
            use crate::ingest::kind::Kind;
            use crate::ingest::record::Members;
            use crate::ingest::{Mapped, Mapping, Reject};
            use std::sync::LazyLock;

            const TABLE: &str =
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/mappings/", stringify!($name), ".toml"));

            /// A table that is none is a mistake of this program: a test reads each.
            static DECLARED: LazyLock<Result<Declared, String>> = LazyLock::new(|| file::of_toml(TABLE));

            /// The kinds of its records.
            pub(in crate::ingest) const KINDS: &[Kind] = $kinds;

            /// What an object is to this source.
            pub(in crate::ingest) fn open(members: &Members<'_>) -> Opened {
                DECLARED.as_ref().map_or(Opened::Foreign, |declared| declared.open(members))
            }

            /// One record as an event.
            pub(in crate::ingest) fn map(text: &str, mapping: &Mapping) -> Result<Mapped, Reject> {
                match &*DECLARED {
                    Ok(declared) => declared.map(text, mapping),
                    Err(why) => Err(Reject::new(why.clone())),
                }
            }
        }
    };
}

builtin!(
    /// Teleport's audit events.
    teleport,
    &[Kind {
        title: "Audit event",
        id: "`uid`",
        organization: "`cluster_name`",
        time: &[&["time"]],
        actor: &[&["user", "identity>user", "updated_by", "bot_name"]],
        address: &[&["addr.remote", "identity>client_ip"]],
        failure: "`success` false; an `error`; a `code` that ends in W or E",
        placeholder: "`unknown`",
    }]
);

builtin!(
    /// The audit devices of HashiCorp Vault and OpenBao.
    vault,
    &[Kind {
        title: "Entry of an audit device, a request or a response",
        id: "content: both have one `request.id`",
        organization: "`namespace.id`, else `request.namespace.id`",
        time: &[&["time"]],
        actor: &[&["auth>display_name", "auth>entity_id"]],
        address: &[&["request>remote_address"]],
        failure: "an `error` that is not empty",
        placeholder: "`unknown`",
    }]
);

builtin!(
    /// Slack's audit logs.
    slack,
    &[Kind {
        title: "Entry of the audit logs API",
        id: "`id`",
        organization: "`context.location.id`, an enterprise or a workspace",
        time: &[&["date_create"]],
        actor: &[&["actor>user>email", "actor>user>id"]],
        address: &[&["context>ip_address"]],
        failure: "none is logged; the action `anomaly`",
        placeholder: "`unknown`",
    }]
);

builtin!(
    /// GitLab's audit events.
    gitlab,
    &[Kind {
        title: "Audit event of a stream, of the API, or of `audit_json.log`",
        id: "`id`, else content",
        organization: "the first part of `entity_path`",
        time: &[&["created_at"]],
        actor: &[&["author_name", "author_id"]],
        address: &[&["ip_address", "meta>remote_ip"]],
        failure: "stands in words only, and is not told",
        placeholder: "refused",
    }]
);
