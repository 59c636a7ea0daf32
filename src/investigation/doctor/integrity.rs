//! What keeps proofs from being made, or makes them worth less.

use super::{Check, Finding, Group, Subject, ago, or_pass, seen};
use crate::store::schema::{Origin, Status};

/// Days after which a trail should be verified again.
const STALE: f64 = 7.0;

/// Columns whose words the guide confines by CHECK.
const CONFINED: [&str; 4] = ["actor_type", "event_category", "action", "event_severity"];

const fn check(name: &'static str, about: &'static str, judge: fn(&Subject) -> Vec<Finding>) -> Check {
    Check { name, group: Group::Integrity, about, judge }
}

pub(super) const CHECKS: &[Check] = &[
    check("schema", "columns, migrations, the append-only guard, generated columns", schema),
    check("word-lists", "CHECK constraints on severity, category, action, actor type", word_lists),
    check("event-id", "whether one event id can be stored twice", event_id),
    check("append-only", "roles that may change or remove rows", append_only),
    check("chain-scheme", "whether the scheme of the hashes is known", chain_scheme),
    check("verified", "time since each trail was verified from this machine", verified),
];

fn schema(subject: &Subject) -> Vec<Finding> {
    seen(&subject.status, judge_schema)
}

fn judge_schema(status: &Status) -> Vec<Finding> {
    let remedy = match status.schema {
        Origin::Foreign => "agenttrace db sql schema",
        Origin::Agenttrace | Origin::Absent => "agenttrace db migrate",
    };
    let mut findings: Vec<Finding> =
        status.problems.iter().map(|problem| Finding::fail(problem.clone(), remedy)).collect();
    findings.extend(
        status.reading.iter().map(|remark| Finding::warn(remark.clone(), "agenttrace db sql schema")),
    );
    if status.schema == Origin::Foreign && findings.is_empty() {
        return vec![Finding::warn(
            "the table was made by somebody else, and nothing in it refuses UPDATE, DELETE and TRUNCATE",
            "agenttrace db sql schema -- the function and triggers of the append-only guard",
        )];
    }
    or_pass(findings, "columns, migrations and the append-only guard are as they must be")
}

fn word_lists(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.rights, |rights| {
        let open: Vec<&str> = CONFINED
            .into_iter()
            .filter(|column| !rights.checks.iter().any(|check| check.contains(column)))
            .collect();
        if open.is_empty() {
            return vec![Finding::pass(
                "severity, category, action and actor type are confined to their words",
            )];
        }
        vec![Finding::warn(
            format!(
                "no CHECK confines {}: misspelt words are stored, and filters miss them",
                open.join(", ")
            ),
            format!(
                "ALTER TABLE {} ADD CHECK (…) NOT VALID; ALTER TABLE {} VALIDATE CONSTRAINT …; -- agenttrace db sql schema \
                 has the lists",
                subject.table, subject.table
            ),
        )]
    })
}

fn event_id(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.indexes, |indexes| {
        let columns = |columns: &[String]| {
            let mut names: Vec<&str> =
                columns.iter().map(|column| column.trim_end_matches(" DESC").trim_matches('"')).collect();
            names.sort_unstable();
            names.join(" ")
        };
        let unique: Vec<String> = indexes
            .iter()
            .filter(|index| index.unique && index.valid && index.is_root && index.predicate.is_none())
            .map(|index| columns(&index.columns))
            .collect();
        if unique.iter().any(|key| key == "event_id" || key == "event_id organization_id") {
            return vec![Finding::pass("an event id is stored once in an organisation")];
        }
        let evidence = if unique.iter().any(|key| key.contains("event_id")) {
            "the key holds the time as well, as a table in partitions demands: one event id can be stored twice, at two \
             times (agenttrace verify finds duplicates; its writer looks before it writes)"
        } else {
            "no key holds event_id: one id can be stored any number of times"
        };
        vec![Finding::warn(evidence, "agenttrace verify -- names every id that is there twice")]
    })
}

fn append_only(subject: &Subject) -> Vec<Finding> {
    seen(&subject.health.rights, |rights| {
        let mut findings = Vec::new();
        for who in &rights.changers {
            findings.push(Finding::fail(
                format!("{who} may change or remove rows"),
                format!("REVOKE UPDATE, DELETE, TRUNCATE ON {} FROM …;", subject.table),
            ));
        }
        if rights.is_owner {
            findings.push(Finding::warn(
                "this role is the owner of the table, a member of it, or a superuser: whoever reads as it can alter the trail",
                "agenttrace db sql roles -- a role that only reads",
            ));
        } else if !rights.own.is_empty() {
            findings.push(Finding::warn(
                format!("this role may {} here: an analyst needs SELECT only", rights.own.join(", ")),
                "agenttrace db sql roles",
            ));
        }
        or_pass(findings, "only the owner can change rows, and this role only reads")
    })
}

fn chain_scheme(subject: &Subject) -> Vec<Finding> {
    if subject.schemes.is_empty() {
        return vec![Finding::unknown("no event could be looked at")];
    }
    let guessed: Vec<Finding> = subject
        .schemes
        .iter()
        .filter(|scheme| scheme.guessed)
        .map(|scheme| {
            Finding::fail(
                format!(
                    "{}: no event of a sample of {} fits any known scheme: nothing there can be called verified",
                    scheme.organization_id, scheme.sample
                ),
                "agenttrace verify --scheme NAME -- where the writer's scheme is known",
            )
        })
        .collect();
    or_pass(guessed, format!("{} organisations looked at, each with a known scheme", subject.schemes.len()))
}

fn verified(subject: &Subject) -> Vec<Finding> {
    if subject.trails.is_empty() {
        return vec![Finding::unknown("no organisation could be looked at")];
    }
    let mut findings = Vec::new();
    for trail in &subject.trails {
        let advice = format!("agenttrace --org {} verify", trail.organization_id);
        match &trail.verified {
            None => findings.push(Finding::warn(
                format!("{}: never verified from this machine", trail.organization_id),
                advice,
            )),
            Some((at, verdict)) => {
                #[expect(clippy::cast_precision_loss, reason = "days are told")]
                let age = (subject.now.as_micros() - at.as_micros()) as f64 / 1e6;
                if age > STALE * 86_400.0 {
                    let evidence = format!("{}: {verdict}, {} ago", trail.organization_id, ago(age));
                    findings.push(Finding::warn(evidence, advice));
                }
            }
        }
    }
    or_pass(findings, format!("{} trails, each verified within {STALE} days", subject.trails.len()))
}
