//! The table of source formats. A new format is a file beside this one and a row in [`FORMATS`]: the values of `--from`,
//! recognition, refusals and the help are made from the rows.

use super::declared::{DECLARED, gitlab, slack, teleport, vault};
use super::kind::Kind;
use super::record::Members;
use super::{Mapped, Mapping, Reject};
use super::{agenttrace, azure, cloudtrail, gcp, github, kubernetes, microsoft365, okta, workspace};
use std::fmt;

/// How the records of a source are written.
pub struct Format {
    /// The value of `--from`.
    pub name: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// What files of it look like, for `--help`.
    pub help: &'static str,
    /// Whether records bring hashes that `--preserve-chain` can keep.
    pub has_chain: bool,
    /// Top-level members that tell its records from others: the more of them, the nearer.
    pub(crate) marks: &'static [&'static str],
    /// First keys of documents whose value is the list of records: they are read record by record.
    pub(crate) lists: &'static [&'static str],
    /// The kinds of its records, for people.
    pub kinds: &'static [Kind],
    /// What an object is to this format.
    pub(crate) open: fn(&Members<'_>) -> Opened,
    /// A record as an event.
    pub(crate) map: fn(&str, &Mapping) -> Result<Mapped, Reject>,
}

/// What an object of a file is to a format.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// A record.
    Record,
    /// A wrapper around records: their texts.
    Wrapped(Vec<String>),
    /// Something of this source that holds no records by its nature: its name.
    NoRecords(&'static str),
    /// Nothing of this source.
    Foreign,
}

/// A row of the table.
pub type SourceFormat = &'static Format;

/// Every format; of two that open the same object, the first.
pub static FORMATS: &[Format] = &[
    Format {
        name: "cloudtrail",
        title: "AWS CloudTrail",
        help: "AWS CloudTrail records: log files, one record a line, lookup-events, EventBridge, CloudWatch Logs, …",
        has_chain: false,
        marks: &[
            "eventSource",
            "eventName",
            "eventTime",
            "eventID",
            "userIdentity",
            "awsRegion",
            "eventVersion",
        ],
        lists: &["Records", "Events", "events", "logEvents"],
        kinds: cloudtrail::KINDS,
        open: cloudtrail::open,
        map: cloudtrail::map,
    },
    Format {
        name: "agenttrace",
        title: "AgentTrace events",
        help: "Events under the names of the 22 columns, one a line, or as CSV with a header",
        has_chain: true,
        marks: &["event_id", "event_type", "actor_id", "organization_id", "resource_type", "request_id"],
        lists: &["events"],
        kinds: agenttrace::KINDS,
        open: agenttrace::open,
        map: agenttrace::map,
    },
    Format {
        name: "kubernetes",
        title: "Kubernetes",
        help: "Kubernetes audit events, also of EKS and AKS, and admission reviews",
        has_chain: false,
        marks: &["auditID", "stage", "verb", "requestURI", "objectRef"],
        lists: &["items"],
        kinds: kubernetes::KINDS,
        open: kubernetes::open,
        map: kubernetes::map,
    },
    Format {
        name: "gcp",
        title: "Google Cloud",
        help: "Google Cloud audit logs, also of GKE: entries of Cloud Logging, Pub/Sub messages",
        has_chain: false,
        marks: &["protoPayload", "insertId", "logName", "receiveTimestamp"],
        lists: &[],
        kinds: gcp::KINDS,
        open: gcp::open,
        map: gcp::map,
    },
    Format {
        name: "azure",
        title: "Azure and Entra",
        help: "Azure activity log, and Entra audit and sign-in logs",
        has_chain: false,
        marks: &["operationName", "resourceId", "correlationId", "callerIpAddress", "activityDisplayName"],
        lists: &["records", "value"],
        kinds: azure::KINDS,
        open: azure::open,
        map: azure::map,
    },
    Format {
        name: "microsoft365",
        title: "Microsoft 365",
        help: "Microsoft 365 unified audit log: management API, or the CSV export with AuditData",
        has_chain: false,
        marks: &["Operation", "CreationTime", "RecordType", "Workload", "UserId"],
        lists: &[],
        kinds: microsoft365::KINDS,
        open: microsoft365::open,
        map: microsoft365::map,
    },
    Format {
        name: "github",
        title: "GitHub",
        help: "GitHub audit log of an organisation or enterprise",
        has_chain: false,
        marks: &["action", "actor", "org", "repo", "created_at", "_document_id"],
        lists: &[],
        kinds: github::KINDS,
        open: github::open,
        map: github::map,
    },
    Format {
        name: "okta",
        title: "Okta",
        help: "Okta System Log: API, hooks, Log Analytics",
        has_chain: false,
        marks: &["eventType", "uuid", "published", "outcome", "target"],
        lists: &["events"],
        kinds: okta::KINDS,
        open: okta::open,
        map: okta::map,
    },
    Format {
        name: "workspace",
        title: "Google Workspace",
        help: "Google Workspace activities of the reports API",
        has_chain: false,
        marks: &["id", "actor", "events", "ipAddress"],
        lists: &["items"],
        kinds: workspace::KINDS,
        open: workspace::open,
        map: workspace::map,
    },
    Format {
        name: "teleport",
        title: "Teleport",
        help: "Teleport audit events",
        has_chain: false,
        marks: &["event", "code", "uid", "ei", "cluster_name"],
        lists: &["events"],
        kinds: teleport::KINDS,
        open: teleport::open,
        map: teleport::map,
    },
    Format {
        name: "vault",
        title: "Vault",
        help: "Audit devices of HashiCorp Vault and OpenBao",
        has_chain: false,
        marks: &["type", "auth", "request", "response"],
        lists: &[],
        kinds: vault::KINDS,
        open: vault::open,
        map: vault::map,
    },
    Format {
        name: "slack",
        title: "Slack",
        help: "Slack audit logs",
        has_chain: false,
        marks: &["date_create", "action", "actor", "entity", "context"],
        lists: &["entries"],
        kinds: slack::KINDS,
        open: slack::open,
        map: slack::map,
    },
    Format {
        name: "gitlab",
        title: "GitLab",
        help: "GitLab audit events",
        has_chain: false,
        marks: &["author_id", "author_name", "created_at", "entity_path"],
        lists: &[],
        kinds: gitlab::KINDS,
        open: gitlab::open,
        map: gitlab::map,
    },
];

impl Format {
    /// The format of a name.
    pub fn named(name: &str) -> Option<SourceFormat> {
        FORMATS.iter().find(|format| format.name == name)
    }

    /// Records that a mapping file describes.
    pub fn declared() -> SourceFormat {
        &DECLARED
    }

    /// The format to which an object can belong, and what it is there.
    pub(crate) fn recognise(members: &Members<'_>) -> Option<(SourceFormat, Opened)> {
        FORMATS.iter().map(|format| (format, (format.open)(members))).find(|(_, o)| *o != Opened::Foreign)
    }

    /// Why no format takes an object: which are supported, and which is nearest.
    pub(crate) fn unsupported(members: &Members<'_>) -> String {
        let supported: Vec<&str> = FORMATS.iter().map(|format| format.title).collect();
        let has = |format: &Format| format.marks.iter().filter(|mark| members.has(mark)).count();
        let nearest = FORMATS.iter().max_by_key(|format| has(format)).filter(|format| has(format) > 0);
        let guess = nearest.map_or_else(String::new, |format| {
            let missing: Vec<&str> =
                format.marks.iter().copied().filter(|mark| !members.has(mark)).take(3).collect();
            format!("; nearest is {}, but {} is missing", format.title, missing.join(", "))
        });
        format!("not a record of a supported format ({}){guess}", supported.join(", "))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title)
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
