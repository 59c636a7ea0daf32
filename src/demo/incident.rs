//! The incident at acme: the deploy key leaks on a Tuesday afternoon, and somebody uses it that night.

use super::calendar::berlin;
use super::cast::{COMPANIES, Company};
use super::planted::Fact;
use super::resource::decimal;
use super::script::{Script, Thing, Who, session, thing};
use crate::domain::Action::{Export, Read};
use crate::domain::Category::{Admin, Auth, Config, Data, Eval};
use crate::domain::Severity::{Critical, Info, Warning};
use chrono::NaiveDate;
use serde_json::{Value, json};

const PLATFORM: Option<&str> = Some("p-platform");
const SUPPORT: Option<&str> = Some("p-support");

const KEY: Thing = thing(Admin, "api_key", "ak-42", "deploy key", PLATFORM);
const SECOND_KEY: Thing = thing(Admin, "api_key", "ak-77", "ci backup", PLATFORM);
const BINDING: Thing = thing(Admin, "role_binding", "rb-7", "user-33 on p-support", SUPPORT);
const MALLORY: Thing = thing(Admin, "user", "user-33", "Mallory", None);
const POLICY: Thing = thing(Config, "retention_policy", "rp-2", "audit log retention", None);
const ALARM: Thing = thing(Config, "webhook", "wh-5", "security alarms", PLATFORM);
const LEAK: Thing = thing(Data, "trace", "tr-77", "ticket.draft", SUPPORT);
const COPY: Thing = thing(Data, "dataset", "ds-19", "tmp-merge", SUPPORT);

const DATASETS: [(&str, &str); 8] = [
    ("ds-11", "ticket-conversations"),
    ("ds-12", "refund-conversations"),
    ("ds-13", "handover-golden"),
    ("ds-14", "customer-contacts"),
    ("ds-15", "fraud-regression"),
    ("ds-16", "checkout-edge-cases"),
    ("ds-17", "loyalty-sampled"),
    ("ds-18", "claims-multilingual"),
];
const PROMPTS: [&str; 4] = ["pr-22", "pr-23", "pr-24", "pr-25"];
const TRACES: [&str; 3] = ["tr-81", "tr-82", "tr-83"];

fn dataset(index: usize) -> Thing {
    thing(Data, "dataset", DATASETS[index].0, DATASETS[index].1, SUPPORT)
}

fn prompt(id: &'static str) -> Thing {
    thing(Config, "prompt", id, "fraud.verify", Some("p-fraud"))
}

fn trace(id: &'static str) -> Thing {
    thing(Data, "trace", id, "fraud.route", Some("p-fraud"))
}

/// The token with which a key comes in.
const TOKEN: Thing = Thing { category: Auth, kind: "token", id: "", name: None, project: None };

fn token_state() -> Value {
    json!({ "method": "api_key", "scopes": ["*"], "lifetime_s": 14_400 })
}

/// Tells the story around the night that follows `tuesday`, and lists what it planted.
#[expect(clippy::too_many_lines, reason = "a script told in order, a step a line")]
pub(super) fn tell(script: &mut Script, tuesday: NaiveDate) -> Vec<Fact> {
    let acme = &COMPANIES[0];
    // Wall-clock time in Berlin, days counted from the Tuesday.
    let at = |day, hour, minute, second| berlin(tuesday, day, hour, minute, second);
    furnish(script);

    let alice = Who::person(&acme.person(1), "acme keys");
    let bruno = Who::person(&acme.person(2), "acme directory");
    let carla = Who::person(&acme.person(3), "acme rotation");

    // Long before: the key, and the binding that everything turns on.
    let created = script.create(
        &alice,
        at(-60, 10, 12, 40),
        KEY,
        ("api_key.created", Warning),
        json!({
            "name": "deploy key", "prefix": "atk-4qj9x2", "service_account": "svc-deploy", "owner": "user-3",
            "scopes": ["traces:read", "datasets:read", "prompts:write", "admin"], "rate_limit_per_minute": 600,
            "last_rotated_by": null,
        }),
    );
    let rotated = script.update(&carla, at(-30, 9, 31, 5), KEY, ("api_key.rotated", Info), |state| {
        state["prefix"] = json!("atk-9w3fzk");
        state["last_rotated_by"] = json!("user-3");
    });
    let members = Who { session: Some(session("acme members")), ..alice.clone() };
    let bound = script.create(
        &members,
        at(-65, 11, 2, 18),
        BINDING,
        ("role_binding.created", Warning),
        json!({ "subject": "user-33", "project": "p-support", "roles": ["viewer"], "granted_by": "user-1" }),
    );

    // A false trail: the directory synchronisation gives the role and takes it back at once. It was bruno who
    // started it, as the request id shows.
    let sync = Who::service("svc-sync", acme.service_address(5));
    let looked = script.look(&bruno, at(-20, 14, 20, 11), BINDING, Read, Info);
    let mut blip = vec![looked.clone()];
    for (second, roles) in [(13, json!(["viewer", "admin"])), (14, json!(["viewer"]))] {
        blip.push(script.update(
            &sync,
            at(-20, 14, 20, second),
            BINDING,
            ("role_binding.updated", Warning),
            |s| {
                s["roles"] = roles;
                s["granted_by"] = json!("svc-sync");
            },
        ));
        script.same_request(&looked);
    }

    // The afternoon: the leak.
    let farid = Who::person(&acme.person(6), "acme notebook");
    let gateway = Who::service("svc-gateway", acme.service_address(1));
    script.create(
        &gateway,
        at(0, 15, 58, 3),
        LEAK,
        ("trace.created", Info),
        json!({ "name": "ticket.draft", "status": "ok", "model": "atlas-small", "latency_ms": 912, "labels": [] }),
    );
    let leak = script.update(&farid, at(0, 16, 5, 22), LEAK, ("trace.annotated", Info), |state| {
        state["feedback"] = json!({
            "score": 2, "by": "user-6",
            "note": "Could not reproduce locally, so I pasted the deploy key into the shared notebook and ran it there.",
        });
    });

    let night = night(script, acme, &at);

    // The next morning.
    let response = Who { session: Some(session("acme response")), ..alice };
    let mut morning = vec![
        script.look(&response, at(1, 9, 18, 2), KEY, Read, Info),
        script.delete(&response, at(1, 9, 19, 40), KEY, ("api_key.revoked", Warning)),
        script.delete(&response, at(1, 9, 20, 9), SECOND_KEY, ("api_key.revoked", Warning)),
    ];
    morning.push(script.update(
        &response,
        at(1, 9, 24, 51),
        BINDING,
        ("role_binding.updated", Warning),
        |s| {
            s["roles"] = json!(["viewer"]);
            s["granted_by"] = json!("user-1");
        },
    ));
    morning.push(script.update(&response, at(1, 9, 26, 13), MALLORY, ("user.role_changed", Warning), |s| {
        s["role"] = json!("viewer");
    }));
    morning.push(script.update(&response, at(1, 9, 26, 58), MALLORY, ("user.mfa_enabled", Info), |s| {
        s["mfa"] = json!({ "enabled": true, "method": "webauthn" });
    }));
    morning.push(script.update(
        &response,
        at(1, 9, 31, 30),
        POLICY,
        ("retention_policy.updated", Warning),
        |s| s["days"] = json!(365),
    ));

    let Night { all, binding, role, mfa, retention, second_key, key_looked } = night;
    let key = vec![created, rotated, key_looked, morning[0].clone(), morning[1].clone()];
    let mut history = vec![bound];
    history.extend(blip.iter().cloned());
    history.extend([all[3].clone(), binding.clone(), morning[3].clone()]);
    vec![
        Fact::new("incident", "what was done from the intruder's network", "ip:203.0.113.64/26", all),
        Fact::new("leaked-key", "the life of the leaked key", "res:api_key/ak-42", key),
        Fact::new(
            "second-key",
            "the key the intruder made, until it was revoked",
            "res:api_key/ak-77",
            vec![second_key.0, second_key.1, morning[2].clone()],
        ),
        Fact::new(
            "became-admin",
            "the field `role` goes from viewer to admin",
            "role:viewer->admin",
            vec![role],
        ),
        Fact::new(
            "roles-gain-admin",
            "the list `roles` gains an element: once for a second, once in earnest",
            "new.roles:admin -old.roles:admin",
            vec![blip[1].clone(), binding],
        ),
        Fact::new("role-binding", "the binding behind both", "res:role_binding/rb-7", history),
        Fact::new(
            "mfa-off",
            "a second factor is switched off",
            "new.mfa.enabled:false changed:mfa.enabled",
            vec![mfa],
        ),
        Fact::new(
            "retention-lowered",
            "the audit log is to be kept for a day, and for a year again",
            "res:retention_policy/rp-2",
            vec![retention, morning[6].clone()],
        ),
        Fact::new(
            "phrase",
            "an exact phrase in a state: how the key leaked",
            "\"pasted the deploy key into the shared notebook\"",
            vec![leak],
        ),
        Fact::new(
            "response",
            "what alice did about it the next morning",
            format!("sess:{}", session("acme response")),
            morning,
        ),
    ]
}

/// What was there before the trail began.
fn furnish(script: &mut Script) {
    script.exists(
        MALLORY,
        json!({
            "email": "mallory@acme.example", "name": "Mallory", "role": "viewer", "status": "active",
            "mfa": { "enabled": true, "method": "totp" }, "teams": ["management"], "locale": "en",
        }),
    );
    script.exists(
        POLICY,
        json!({ "target": "audit_log", "days": 365, "legal_hold": false, "changed_by": "user-1" }),
    );
    script.exists(
        ALARM,
        json!({
            "name": "security alarms", "url": "https://hooks.acme.example/wh-5", "enabled": true, "failures": 0,
            "events": ["api_key.created", "role_binding.updated", "user.role_changed"], "secret_version": 3,
        }),
    );
    for id in PROMPTS {
        script.exists(
            prompt(id),
            json!({ "name": "fraud.verify", "owner": "user-10", "version": 4, "temperature": decimal(2, 1) }),
        );
    }
    for id in TRACES {
        let state =
            json!({ "name": "fraud.route", "status": "ok", "model": "atlas-large", "latency_ms": 2_210 });
        script.exists(trace(id), state);
    }
}

/// The events of the night that are facts of their own.
struct Night {
    all: Vec<String>,
    key_looked: String,
    binding: String,
    role: String,
    mfa: String,
    retention: String,
    second_key: (String, String),
}

/// The night: 41 events from an address nobody has seen before.
fn night(script: &mut Script, acme: &Company, at: &impl Fn(i64, i64, i64, i64) -> i64) -> Night {
    const ADDRESS: &str = "203.0.113.66";
    const TOOL: &str = "python-requests/2.32.3";
    let intruder =
        Who::service("svc-deploy", acme.service_address(4)).elsewhere(ADDRESS, TOOL, "acme intruder");
    let mut all =
        vec![script.create(&intruder, at(0, 23, 4, 10), TOKEN, ("token.created", Warning), token_state())];

    // Looking round.
    let key_looked = script.look(&intruder, at(0, 23, 5, 2), KEY, Read, Info);
    all.push(key_looked.clone());
    all.push(script.look(&intruder, at(0, 23, 6, 30), MALLORY, Read, Info));
    all.push(script.look(&intruder, at(0, 23, 7, 44), BINDING, Read, Info));
    for index in 0..DATASETS.len() {
        all.push(script.look(&intruder, at(0, 23, 12 + index as i64, 7), dataset(index), Read, Info));
    }
    for (step, id) in (0..).zip(PROMPTS) {
        all.push(script.look(&intruder, at(0, 23, 24, 9 * step), prompt(id), Read, Info));
    }
    for (step, id) in (0..).zip(TRACES) {
        all.push(script.look(&intruder, at(0, 23, 31, 12 * step), trace(id), Read, Info));
    }

    // Taking.
    let merged = json!({ "name": "tmp-merge", "owner": "svc-deploy", "rows": 61_240, "visibility": "team" });
    all.push(script.create(&intruder, at(0, 23, 48, 19), COPY, ("dataset.created", Info), merged));
    for (minute, what, severity) in
        [(52, dataset(0), Warning), (57, dataset(3), Critical), (59, COPY, Critical)]
    {
        all.push(script.look(&intruder, at(0, 23, minute, 33), what, Export, severity));
    }

    // Staying.
    let binding =
        script.update(&intruder, at(1, 0, 10, 5), BINDING, ("role_binding.updated", Critical), |state| {
            state["roles"] = json!(["viewer", "admin"]);
            state["granted_by"] = json!("svc-deploy");
        });
    let role =
        script.update(&intruder, at(1, 0, 10, 48), MALLORY, ("user.role_changed", Critical), |state| {
            state["role"] = json!("admin");
        });
    let mfa = script.update(&intruder, at(1, 0, 11, 20), MALLORY, ("user.mfa_disabled", Critical), |state| {
        state["mfa"] = json!({ "enabled": false, "method": null });
    });
    let made = script.create(
        &intruder,
        at(1, 0, 14, 57),
        SECOND_KEY,
        ("api_key.created", Critical),
        json!({
            "name": "ci backup", "prefix": "atk-0d7m5t", "service_account": "svc-ci-backup", "owner": "user-33",
            "scopes": ["*"], "rate_limit_per_minute": 6_000, "last_rotated_by": null,
        }),
    );
    all.extend([binding.clone(), role.clone(), mfa.clone(), made.clone()]);

    // The accomplice, and what the second key does.
    let mallory =
        Who::person(&acme.person(33), "").elsewhere(ADDRESS, acme.person(33).agents[1], "acme accomplice");
    let sign_in = Thing { category: Auth, kind: "session", id: "", name: None, project: None };
    let method = json!({ "method": "password", "ip": ADDRESS });
    all.push(script.create(&mallory, at(1, 0, 31, 12), sign_in, ("login.succeeded", Warning), method));
    all.push(script.look(&mallory, at(1, 0, 33, 40), dataset(3), Read, Info));
    all.push(script.look(&mallory, at(1, 0, 35, 1), dataset(3), Export, Critical));
    all.push(script.delete(&mallory, at(1, 0, 39, 26), ALARM, ("webhook.deleted", Critical)));
    let backup =
        Who::service("svc-ci-backup", String::new()).elsewhere("203.0.113.91", "curl/8.11.1", "acme backup");
    all.push(script.create(&backup, at(1, 1, 2, 8), TOKEN, ("token.created", Warning), token_state()));
    let report = thing(Eval, "evaluation", "ev-31", "red team fraud", Some("p-fraud"));
    all.push(script.look(&backup, at(1, 1, 3, 15), report, Export, Warning));

    // Wiping the traces.
    let retention =
        script.update(&intruder, at(1, 2, 11, 3), POLICY, ("retention_policy.updated", Critical), |state| {
            state["days"] = json!(1);
            state["changed_by"] = json!("svc-deploy");
        });
    all.push(retention.clone());
    all.push(script.delete(&intruder, at(1, 2, 13, 38), COPY, ("dataset.deleted", Warning)));
    all.push(script.delete(&intruder, at(1, 2, 15, 2), trace("tr-82"), ("trace.deleted", Info)));
    all.push(script.delete(&intruder, at(1, 2, 15, 49), trace("tr-83"), ("trace.deleted", Info)));
    all.push(script.delete(&intruder, at(1, 2, 17, 20), prompt("pr-25"), ("prompt.deleted", Info)));
    let checked = script.look(&intruder, at(1, 2, 24, 31), SECOND_KEY, Read, Info);
    all.push(checked.clone());
    all.push(script.delete(&mallory, at(1, 2, 29, 6), sign_in, ("logout", Info)));
    all.push(script.delete(&intruder, at(1, 2, 30, 55), TOKEN, ("token.revoked", Info)));
    Night { all, key_looked, binding, role, mfa, retention, second_key: (made, checked) }
}
