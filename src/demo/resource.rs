//! The things a company works on: how each is born, how it changes, how its states follow from one another.

use super::cast::{Company, PEOPLE, Team};
use super::dice::{Dice, tagged};
use super::kind::Kind;
use super::text;
use crate::domain::{Json, Severity, Timestamp};
use serde_json::{Value, json};

/// What names a resource.
#[derive(Debug, Clone)]
pub(super) struct Tag {
    /// Grows in the order of creation over all kinds.
    pub(super) serial: u64,
    /// `resource_id`.
    pub(super) id: String,
    /// `resource_name`.
    pub(super) name: String,
    /// `project_id`.
    pub(super) project: Option<&'static str>,
}

/// A live resource.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) tag: Tag,
    /// The state now.
    pub(super) state: Value,
    /// The same as text: what the last change had as `new_state`.
    pub(super) text: Json,
}

/// What a change depends on besides chance.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) company: &'a Company,
    /// `actor_id` of whoever acts.
    pub(super) actor: &'a str,
    pub(super) now: Timestamp,
    /// Ids of a live dataset and a live prompt, for evaluations.
    pub(super) dataset: &'a str,
    pub(super) prompt: &'a str,
}

impl Scene<'_> {
    /// The time as states show it: RFC 3339 to the second.
    fn time(&self) -> String {
        text::seconds(self.now)
    }
}

/// `actor_id` of some person.
fn anybody(dice: &mut Dice) -> String {
    format!("user-{}", dice.between(1, PEOPLE as u64))
}

/// Text of a state.
pub(super) fn json_text(state: &Value) -> Json {
    Json::from_trusted(state.to_string())
}

/// A number with decimals: `mantissa / 10^digits`. Both are exact in a double, and IEEE 754 rounds the quotient
/// correctly, so that every platform prints the same digits.
pub(super) fn decimal(mantissa: u64, digits: u32) -> Value {
    json!(mantissa as f64 / 10_u64.pow(digits) as f64)
}

/// Name and state of a new resource; `id` is its id.
pub(super) fn born(kind: Kind, id: &str, scene: &Scene<'_>, dice: &mut Dice) -> (String, Value) {
    let at = scene.time();
    match kind {
        Kind::Trace => born_trace(scene, dice),
        Kind::Dataset => {
            let name = format!("{}-{}", dice.pick(&text::TOPICS), dice.pick(&text::DATASET_ENDINGS));
            let state = json!({
                "name": name, "owner": scene.actor, "rows": dice.between(200, 80_000), "version": 1,
                "visibility": "team", "columns": ["input", "expected", "metadata"], "tags": [dice.pick(&text::TAGS)],
                "description": text::sentences(dice, 1), "updated_at": at,
            });
            (name, state)
        }
        Kind::Prompt => {
            let name = format!("{}.{}", dice.pick(&text::TOPICS), dice.pick(&text::STEPS));
            let length = dice.between(2, 9);
            let state = json!({
                "name": name, "owner": scene.actor, "version": 1, "model": dice.pick(&text::MODELS),
                "temperature": decimal(dice.below(11), 1), "max_tokens": 256 << dice.below(5),
                "template": text::sentences(dice, length), "variables": ["question", "context"], "updated_at": at,
            });
            (name, state)
        }
        Kind::Evaluation => {
            let name = format!("{} {}", dice.pick(&text::SUITES), dice.pick(&text::TOPICS));
            let state = json!({
                "name": name, "status": "queued", "dataset": scene.dataset, "prompt": scene.prompt,
                "model": dice.pick(&text::MODELS), "started_by": scene.actor, "samples": 50 * dice.between(1, 40),
                "created_at": at,
            });
            (name, state)
        }
        Kind::Benchmark => {
            let name = format!("{} benchmark", dice.pick(&text::TOPICS));
            let state = json!({
                "name": name, "suites": [dice.pick(&text::SUITES)], "threshold": decimal(dice.between(60, 95), 2),
                "baseline": { "model": dice.pick(&text::MODELS), "score": decimal(dice.between(550, 930), 3) },
                "schedule": "0 3 * * 1",
            });
            (name, state)
        }
        Kind::ApiKey => {
            let name =
                format!("{} {}", dice.pick(&text::TOPICS), dice.pick(&["key", "token", "integration"]));
            let state = json!({
                "name": name, "prefix": key_prefix(dice), "owner": scene.actor,
                "scopes": ["traces:write", dice.pick(&text::SCOPES)], "rate_limit_per_minute": 600, "created_at": at,
                "last_rotated": null,
            });
            (name, state)
        }
        Kind::RoleBinding => {
            let subject = anybody(dice);
            let project = dice.pick(scene.company.projects).0;
            let state = json!({
                "subject": subject, "project": project, "roles": ["viewer"], "granted_by": scene.actor,
                "updated_at": at,
            });
            (format!("{subject} on {project}"), state)
        }
        Kind::User => {
            // `user-17`: the record of person 17.
            let number = id.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(1);
            let person = scene.company.person(number);
            let state = json!({
                "email": person.email, "name": person.name, "role": Team::of(number).role(), "status": "active",
                "mfa": { "enabled": number % 5 != 4, "method": "totp" }, "teams": [person.team.name()],
                "locale": "en", "last_seen": at,
            });
            (person.name, state)
        }
        Kind::Webhook => {
            let name = format!("{} notifications", dice.pick(&text::TOPICS));
            let state = json!({
                "name": name, "url": format!("https://hooks.{}.example/{}", scene.company.id, id),
                "events": ["evaluation.completed"], "enabled": true, "failures": 0, "secret_version": 1,
            });
            (name, state)
        }
        Kind::RetentionPolicy => {
            let target = dice.pick(&["traces", "evaluations", "datasets", "exports"]);
            let state = json!({
                "target": target, "days": 30 * dice.between(3, 24), "legal_hold": false, "changed_by": scene.actor,
            });
            (format!("{target} retention"), state)
        }
        Kind::Project => {
            let name = scene.company.projects.iter().find(|p| p.0 == id).map_or(id, |p| p.1).to_owned();
            let state = json!({
                "name": name, "owner": anybody(dice), "quota": { "traces_per_day": 50_000, "gpu_hours": 40 },
                "region": "eu-central", "members": dice.between(4, 18), "tags": [],
            });
            (name, state)
        }
    }
}

fn born_trace(scene: &Scene<'_>, dice: &mut Dice) -> (String, Value) {
    let name = format!("{}.{}", dice.pick(&text::TOPICS), dice.pick(&text::STEPS));
    let prompt_tokens = dice.between(80, 6_000);
    let completion_tokens = dice.between(10, 900);
    let failed = dice.chance(30);
    // Mostly a handful of spans; sometimes an agent that ran for long.
    let spans = if dice.chance(12) { dice.between(20, 160) } else { dice.between(1, 4) };
    let latency = dice.between(180, 1_400) * spans;
    let list: Vec<Value> = (0..spans)
        .map(|n| {
            json!({ "span": n, "op": dice.pick(&text::OPERATIONS), "ms": latency / spans, "tokens": dice.below(900) })
        })
        .collect();
    let mut state = json!({
        "name": name, "status": if failed { "error" } else { "ok" }, "model": dice.pick(&text::MODELS),
        "latency_ms": latency, "tokens": { "prompt": prompt_tokens, "completion": completion_tokens },
        "cost_usd": decimal(prompt_tokens * 3 + completion_tokens * 15, 6), "input": text::question(dice),
        "spans": list, "labels": [], "started_at": scene.time(),
    });
    if failed {
        state["error"] = json!({ "type": dice.pick(&text::ERRORS), "retries": dice.below(4) });
    } else {
        let length = dice.between(1, 4);
        state["output"] = json!(text::sentences(dice, length));
    }
    (name, state)
}

fn key_prefix(dice: &mut Dice) -> String {
    tagged("atk", dice.bits())[..10].to_owned()
}

/// Changes a state; returns the event's type and severity. Every change changes something.
///
/// Some things never happen here, so that the planted story is alone with them: nobody goes from viewer to admin, no
/// list of roles gains `admin`, no second factor is switched off, no owner becomes null.
#[expect(clippy::too_many_lines, reason = "a table: an arm for each kind and the change it makes")]
pub(super) fn change(
    kind: Kind,
    state: &mut Value,
    scene: &Scene<'_>,
    dice: &mut Dice,
) -> (&'static str, Severity) {
    use Severity::{Critical, Info, Warning};
    match kind {
        Kind::Trace => {
            let label = dice.pick(&text::LABELS);
            if dice.chance(600) {
                toggle(&mut state["labels"], label);
                return ("trace.labelled", Info);
            }
            let length = dice.between(1, 2);
            state["feedback"] = json!({
                "score": dice.between(1, 5), "note": text::sentences(dice, length), "by": scene.actor,
                "at": scene.time(),
            });
            ("trace.annotated", Info)
        }
        Kind::Dataset => {
            add(&mut state["version"], 1);
            state["updated_at"] = json!(scene.time());
            match dice.below(10) {
                0 => {
                    state["owner"] = json!(anybody(dice));
                    ("dataset.updated", Info)
                }
                1 => {
                    let public = state["visibility"] == "team";
                    state["visibility"] = json!(if public { "organization" } else { "team" });
                    ("dataset.shared", if public { Warning } else { Info })
                }
                2..=4 => {
                    toggle(&mut state["tags"], dice.pick(&text::TAGS));
                    ("dataset.updated", Info)
                }
                _ => {
                    add(&mut state["rows"], dice.between(1, 900));
                    ("dataset.rows_added", Info)
                }
            }
        }
        Kind::Prompt => {
            add(&mut state["version"], 1);
            state["updated_at"] = json!(scene.time());
            match dice.below(4) {
                0 => state["temperature"] = decimal(dice.below(11), 1),
                1 => state["model"] = json!(dice.pick(&text::MODELS)),
                _ => {
                    let length = dice.between(2, 9);
                    state["template"] = json!(text::sentences(dice, length));
                }
            }
            ("prompt.updated", Info)
        }
        Kind::Evaluation => change_evaluation(state, scene, dice),
        Kind::Benchmark => {
            state["threshold"] = decimal(dice.between(60, 95), 2);
            state["baseline"] =
                json!({ "model": dice.pick(&text::MODELS), "score": decimal(dice.between(550, 930), 3) });
            state["updated_at"] = json!(scene.time());
            ("benchmark.updated", Info)
        }
        Kind::ApiKey => {
            if dice.chance(650) {
                state["prefix"] = json!(key_prefix(dice));
                state["last_rotated"] = json!(scene.time());
                return ("api_key.rotated", Info);
            }
            toggle(&mut state["scopes"], dice.pick(&text::SCOPES));
            ("api_key.scopes_changed", Warning)
        }
        Kind::RoleBinding => {
            toggle(&mut state["roles"], dice.pick(&["editor", "annotator", "exporter"]));
            state["granted_by"] = json!(scene.actor);
            state["updated_at"] = json!(scene.time());
            ("role_binding.updated", Warning)
        }
        Kind::User => {
            state["last_seen"] = json!(scene.now.to_rfc3339());
            match dice.below(20) {
                0 => {
                    let (role, severity) = match state["role"].as_str() {
                        Some("viewer") => ("editor", Warning),
                        Some("editor") if dice.chance(100) => ("admin", Critical),
                        Some("admin") => ("editor", Warning),
                        _ => ("viewer", Warning),
                    };
                    state["role"] = json!(role);
                    ("user.role_changed", severity)
                }
                1 | 2 if state["mfa"]["enabled"] == false => {
                    state["mfa"] = json!({ "enabled": true, "method": dice.pick(&["totp", "webauthn"]) });
                    ("user.mfa_enabled", Info)
                }
                3..=5 => {
                    toggle(&mut state["teams"], dice.pick(&["on-call", "red-team", "guild-evals", "pilot"]));
                    ("user.updated", Info)
                }
                _ => ("user.updated", Info),
            }
        }
        Kind::Webhook => {
            if state["enabled"] == false {
                state["enabled"] = json!(true);
                state["failures"] = json!(0);
                return ("webhook.enabled", Info);
            }
            match dice.below(10) {
                0 => {
                    add(&mut state["secret_version"], 1);
                    ("webhook.secret_rotated", Info)
                }
                1..=3 => {
                    toggle(&mut state["events"], dice.pick(&text::WEBHOOK_EVENTS));
                    ("webhook.updated", Info)
                }
                _ => {
                    add(&mut state["failures"], dice.between(1, 6));
                    if state["failures"].as_u64() < Some(20) {
                        return ("webhook.delivery_failed", Info);
                    }
                    state["enabled"] = json!(false);
                    ("webhook.disabled", Warning)
                }
            }
        }
        Kind::RetentionPolicy => {
            let before = state["days"].as_u64().unwrap_or(90);
            let after = before + 30 * dice.between(1, 6);
            // A shortened retention is rare, and loud.
            let shorter = before > 300 && dice.chance(300);
            state["days"] = json!(if shorter { before - 90 } else { after });
            state["changed_by"] = json!(scene.actor);
            ("retention_policy.updated", if shorter { Critical } else { Warning })
        }
        Kind::Project => {
            match dice.below(3) {
                0 => add(&mut state["members"], 1),
                1 => add(&mut state["quota"]["traces_per_day"], 5_000),
                _ => {
                    toggle(&mut state["tags"], dice.pick(&text::TAGS));
                }
            }
            ("project.updated", Info)
        }
    }
}

fn change_evaluation(state: &mut Value, scene: &Scene<'_>, dice: &mut Dice) -> (&'static str, Severity) {
    match state["status"].as_str() {
        Some("queued") => {
            state["status"] = json!("running");
            state["started_at"] = json!(scene.time());
            ("evaluation.started", Severity::Info)
        }
        Some("running") if dice.chance(60) => {
            state["status"] = json!("failed");
            state["error"] = json!(dice.pick(&text::ERRORS));
            ("evaluation.failed", Severity::Warning)
        }
        Some("running") => {
            let toxicity = dice.below(60) * dice.below(60);
            state["status"] = json!("completed");
            state["finished_at"] = json!(scene.time());
            state["metrics"] = json!({
                "accuracy": decimal(dice.between(580, 990), 3), "groundedness": decimal(dice.between(400, 995), 3),
                "toxicity": decimal(toxicity, 5), "latency_p95_ms": dice.between(700, 9_000),
            });
            if toxicity > 2_900 {
                ("evaluation.threshold_exceeded", Severity::Critical)
            } else {
                ("evaluation.completed", Severity::Info)
            }
        }
        _ => {
            let reviews = state["reviews"].as_u64().unwrap_or(0);
            state["reviews"] = json!(reviews + 1);
            state["reviewed_by"] = json!(scene.actor);
            ("evaluation.reviewed", Severity::Info)
        }
    }
}

/// Adds to an integer.
fn add(value: &mut Value, amount: u64) {
    *value = json!(value.as_u64().unwrap_or(0) + amount);
}

/// Puts `item` into a list, or takes it out when it is there.
fn toggle(list: &mut Value, item: &str) {
    let Some(list) = list.as_array_mut() else { return };
    match list.iter().position(|i| i == item) {
        None => list.push(json!(item)),
        Some(index) => {
            list.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cast::COMPANIES;
    use super::*;

    #[test]
    fn every_kind_is_born_with_an_object_and_each_change_changes_it() {
        let mut dice = Dice::new(3, 9);
        let scene = Scene {
            company: &COMPANIES[0],
            actor: "user-4",
            now: Timestamp::parse("2026-07-14T09:00:00Z").unwrap(),
            dataset: "ds-1001",
            prompt: "pr-1001",
        };
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            let (name, mut state) = born(kind, &format!("{}-7", kind.prefix()), &scene, &mut dice);
            assert!(state.is_object() && !name.is_empty());
            for step in 0..60_i64 {
                let now = scene.now.as_micros() + step * 60_000_000;
                let scene = Scene { now: Timestamp::from_micros(now), ..scene };
                let before = state.clone();
                let (event_type, _) = change(kind, &mut state, &scene, &mut dice);
                assert!(event_type.starts_with(kind.name()), "{event_type}");
                assert_ne!(before, state, "{event_type}");
            }
        }
    }

    #[test]
    fn decimals_print_as_they_are_meant() {
        assert_eq!(decimal(873, 3).to_string(), "0.873");
        assert_eq!(decimal(7, 1).to_string(), "0.7");
    }
}
