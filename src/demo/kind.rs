//! The kinds of resources: names, populations, what their events are called.

use super::cast::PEOPLE;
use crate::domain::{Action, Category, Severity};

/// Kind of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Trace,
    Dataset,
    Prompt,
    Evaluation,
    Benchmark,
    ApiKey,
    RoleBinding,
    User,
    Webhook,
    RetentionPolicy,
    Project,
}

impl Kind {
    /// All kinds, in the order of their discriminants.
    pub(super) const ALL: [Self; 11] = [
        Self::Trace,
        Self::Dataset,
        Self::Prompt,
        Self::Evaluation,
        Self::Benchmark,
        Self::ApiKey,
        Self::RoleBinding,
        Self::User,
        Self::Webhook,
        Self::RetentionPolicy,
        Self::Project,
    ];

    /// `resource_type`.
    pub(super) fn name(self) -> &'static str {
        self.facts().0
    }

    /// Prefix of resource ids.
    pub(super) fn prefix(self) -> &'static str {
        self.facts().1
    }

    /// `event_category` of everything done with it.
    pub(super) fn category(self) -> Category {
        self.facts().2
    }

    /// How many a company has before the trail begins, and above how many the oldest is forgotten.
    pub(super) fn population(self) -> (usize, usize) {
        (self.facts().3, self.facts().4)
    }

    fn facts(self) -> (&'static str, &'static str, Category, usize, usize) {
        match self {
            Self::Trace => ("trace", "tr", Category::Data, 400, 2_500),
            Self::Dataset => ("dataset", "ds", Category::Data, 40, 150),
            Self::Prompt => ("prompt", "pr", Category::Config, 45, 150),
            Self::Evaluation => ("evaluation", "ev", Category::Eval, 80, 800),
            Self::Benchmark => ("benchmark", "bm", Category::Eval, 12, 40),
            Self::ApiKey => ("api_key", "ak", Category::Admin, 18, 60),
            Self::RoleBinding => ("role_binding", "rb", Category::Admin, 30, 120),
            Self::User => ("user", "user", Category::Admin, PEOPLE, usize::MAX),
            Self::Webhook => ("webhook", "wh", Category::Config, 9, 40),
            Self::RetentionPolicy => ("retention_policy", "rp", Category::Config, 4, usize::MAX),
            Self::Project => ("project", "p", Category::Config, 0, usize::MAX),
        }
    }

    fn event_type(self, action: Action) -> &'static str {
        const VIEWED: [&str; 11] = [
            "trace.viewed",
            "dataset.viewed",
            "prompt.viewed",
            "evaluation.viewed",
            "benchmark.viewed",
            "api_key.viewed",
            "role_binding.viewed",
            "user.viewed",
            "webhook.viewed",
            "retention_policy.viewed",
            "project.viewed",
        ];
        match (self, action) {
            (Self::Trace, Action::Create) => "trace.created",
            (Self::Dataset, Action::Create) => "dataset.created",
            (Self::Prompt, Action::Create) => "prompt.created",
            (Self::Evaluation, Action::Create) => "evaluation.created",
            (Self::Benchmark, Action::Create) => "benchmark.created",
            (Self::ApiKey, Action::Create) => "api_key.created",
            (Self::RoleBinding, Action::Create) => "role_binding.created",
            (Self::Webhook, Action::Create) => "webhook.created",
            (Self::Trace, Action::Delete) => "trace.deleted",
            (Self::Dataset, Action::Delete) => "dataset.deleted",
            (Self::Prompt, Action::Delete) => "prompt.deleted",
            (Self::Evaluation, Action::Delete) => "evaluation.deleted",
            (Self::ApiKey, Action::Delete) => "api_key.revoked",
            (Self::RoleBinding, Action::Delete) => "role_binding.deleted",
            (Self::Webhook, Action::Delete) => "webhook.deleted",
            (Self::Trace, Action::Export) => "trace.exported",
            (Self::Dataset, Action::Export) => "dataset.exported",
            (Self::Evaluation, Action::Export) => "evaluation.exported",
            // What nobody in the cast does (nobody deletes a user or exports a prompt) is shown as a look.
            _ => VIEWED[self as usize],
        }
    }

    /// `event_type` and `event_severity` of creating, reading, deleting or exporting one.
    pub(super) fn told(self, action: Action) -> (&'static str, Severity) {
        let severity = match (self, action) {
            (Self::ApiKey | Self::RoleBinding, Action::Create)
            | (Self::ApiKey | Self::Dataset | Self::Webhook | Self::RoleBinding, Action::Delete) => {
                Severity::Warning
            }
            _ => Severity::Info,
        };
        (self.event_type(action), severity)
    }
}
