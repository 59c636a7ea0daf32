use super::*;
use crate::domain::{TimeRange, Timestamp};
use proptest::prelude::*;
use std::time::Duration;

fn canonical(text: &str) -> String {
    Filter::parse(text).unwrap_or_else(|e| panic!("{}", e.render(text))).canonical()
}

fn refusal(text: &str) -> String {
    Filter::parse(text).expect_err(text).render(text)
}

#[test]
fn spellings_have_one_canonical_form() {
    for (text, wanted) in [
        ("", ""),
        ("sev:critical since:-24h", "since:-24h sev:critical"),
        ("actor:user-17,user-18 -action:read", "actor:user-17,user-18 -action:read"),
        ("ACTOR_IP:203.0.113.7/24 NOT actor:svc-*", "ip:203.0.113.0/24 -actor:svc-*"),
        ("!cat:auth && type!=login.failed and sev:CRIT", "-cat:auth -type:login.failed sev:critical"),
        ("-type!=x", "type:x"),
        ("sev>=warn", "sev:warning,critical"),
        ("sev<warning", "sev:info"),
        ("res:trace/tr-1,dataset/* res:a/b/c", "res:trace/tr-1,dataset/* res:a/b/c"),
        (r#"ua~"curl/" type:"null",null*,"v*",v*"#, r#"ua~curl/ type:"null","null"*,"v*",v*"#),
        (r#"user_agent:"Mozilla \"5\" \\"*"#, r#"ua:"Mozilla \"5\" \\"*"#),
        ("email:Eve@Corp.Example proj:null,*", "email:eve@corp.example proj:null,*"),
        ("type:a,a,b", "type:a,b"),
        ("all-time until:2026-11-17", "until:2026-11-17T00:00:00.000000Z all-time"),
        ("since:2026-11-17T02:30+01:00 until:+1mon@w", "since:2026-11-17T01:30:00.000000Z until:+1mon@w"),
        (r#"since:yesterday until:"2026-11-17 08:00""#, "since:yesterday until:2026-11-17T08:00:00.000000Z"),
        ("sess=s-9f3\u{a0}req:r:1", "sess:s-9f3 req:r:1"),
        ("ip:\"::ffff:10.0.0.1\"", "ip:\"::ffff:10.0.0.1\""),
        ("ip:0.0.0.0/0,2001:db8::1/0", "ip:0.0.0.0/0,\"::/0\""),
    ] {
        assert_eq!(canonical(text), wanted, "{text}");
        assert_eq!(canonical(wanted), wanted);
    }
}

#[test]
fn what_cannot_be_read_is_shown_in_its_place() {
    insta::assert_snapshot!(refusal("since:-7d actr:alice"), @"
    unknown field 'actr'
      since:-7d actr:alice
                ^^^^
      did you mean 'actor'?
    ");
    insta::assert_snapshot!(refusal("org:acme"), @"
    a filter cannot choose the organisation: every query is within one
      org:acme
      ^^^
      use --org, or the organisation chooser of the console
    ");
    insta::assert_snapshot!(refusal("action:raed"), @"
    'action' does not know 'raed'
      action:raed
             ^^^^
      did you mean 'read'?
    ");
    insta::assert_snapshot!(refusal("actor:alice OR actor:bob"), @"
    OR is not yet available
      actor:alice OR actor:bob
                  ^^
      several values of one field are written field:a,b
    ");
    insta::assert_snapshot!(refusal("actor:al\u{1b}\u{202e}ice,"), @r#"
    a value is missing here
      actor:al\x1B\u{202E}ice,
                              ^
      write null for 'no value', * for 'any value', "" for the empty text
    "#);
    insta::assert_snapshot!(refusal("since:soon"), @"
    'soon' is not a time
      since:soon
            ^^^^
      write 2026-01-15, 2026-01-15T09:58:01Z, -7d, -24h@h, now, today or yesterday (units: s m h d w mon y; UTC)
    ");
}

/// Every refusal with its place and a word of its message.
#[test]
fn what_is_not_available_is_refused_and_never_misread() {
    for (text, place, word) in [
        ("login", "login", "word"),
        ("sev:info login.failed", "login.failed", "word"),
        ("-login", "login", "word"),
        ("\"prompt injection\"", "\"prompt", "phrase"),
        ("/AKIA/", "/AKIA/", "regular"),
        ("a:x OR b:y", "a", "unknown field"),
        ("sev:info || sev:critical", "||", "OR"),
        ("(sev:info)", "(", "parentheses"),
        ("sev:info)", ")", "parentheses"),
        ("NOT(sev:info)", "(", "parentheses"),
        ("changed:role", "changed", "change"),
        ("role:viewer->admin", "role:viewer->admin", "change"),
        ("type:a->b", "a->b", "change"),
        ("new.roles:admin", "new.roles", "states"),
        ("old.quota>100", "old.quota", "states"),
        ("res_id:a..b", "res_id", "unknown field"),
        ("resource_id:a..b", "a..b", "ranges"),
        ("actor in @suspects.txt", "actor", "file"),
        ("actor:@suspects.txt", "@suspects.txt", "file"),
        ("around:evt-1", "around", "time"),
        ("tod:22:00..06:00", "tod", "time"),
        ("integrity:broken", "integrity", "integrity"),
        ("is:bookmarked", "is", "bookmarks"),
        ("timestamp:2026-01-01", "timestamp", "since"),
        ("-since:-7d", "-", "negated"),
        ("not all-time", "not", "negated"),
        ("since>-7d", ">", "':'"),
        ("since:-7d since:-8d", "-8d", "twice"),
        ("since:-7d..now", "-7d..now", "ranges"),
        ("until:-5x", "-5x", "not a time"),
        ("until:2026-02-30", "2026-02-30", "not a time"),
        ("--sev:info", "-", "once"),
        ("- sev:info", "-", "negation"),
        ("not", "not", "negation"),
        ("and sev:info", "and", "left"),
        ("sev:info and and sev:info", "and", "left"),
        ("sev:info and", "and", "right"),
        ("sev:info AND OR", "OR", "OR"),
        ("actor:", "", "missing"),
        ("actor: alice", "", "missing"),
        ("actor:a,", "", "missing"),
        ("actor:a*b", "a*b", "end of a value"),
        ("actor:\"alice", "\"", "never closed"),
        ("actor:\"al\\ice\"", "\\", "backslash"),
        ("actor:\"a\"b", "b", "follows"),
        ("actor:[a]", "[", "brackets"),
        ("actor::x", ":", "begin"),
        ("actor:null", "null", "always has a value"),
        ("actor>x", ">", "no order"),
        ("sev>critical", "critical", "beyond"),
        ("sev>=info,warning", ">=", "one value"),
        ("sev~info", "~", "does not take"),
        ("res~trace", "~", "does not take"),
        ("ua~curl*", "curl*", "contained"),
        ("res:trace", "trace", "TYPE/ID"),
        ("res:/x", "/", "begin"),
        ("ip:10.0.*", "10.0.*", "no address"),
        ("ip:10.0.0.0/33", "10.0.0.0/33", "no address"),
        ("actor:\"a\0b\"", "\"a\0b\"", "U+0000"),
    ] {
        let error = Filter::parse(text).expect_err(text);
        assert_eq!(&text[error.span()], place, "{text}: {error}");
        assert!(error.to_string().contains(word), "{text}: {error}");
    }
    let long = "x".repeat(Filter::MAX_LENGTH + 1);
    assert!(Filter::parse(&long).unwrap_err().to_string().contains("at most"));
}

#[test]
fn bounds_are_absolute_and_the_default_window_ends_at_the_newest_event() {
    let at = |t: &str| Timestamp::parse(t).unwrap();
    let now = at("2026-03-18T10:20:30.5Z");
    let newest = Some(at("2026-02-01T00:00:00Z"));
    let day = Duration::from_secs(86_400);
    let range = |text: &str, newest| Filter::parse(text).unwrap().range(now, newest, day);
    let is = |text: &str, since: Option<&str>, until: Option<&str>| {
        let wanted = TimeRange { since: since.map(at), until: until.map(at) };
        assert_eq!(range(text, newest), Ok(wanted), "{text}");
    };
    is("", Some("2026-01-31T00:00:00Z"), None);
    is("all-time", None, None);
    is("until:2025-01-02", Some("2025-01-01T00:00:00Z"), Some("2025-01-02T00:00:00Z"));
    is("all-time until:2025-01-02", None, Some("2025-01-02T00:00:00Z"));
    is("since:yesterday until:today", Some("2026-03-17T00:00:00Z"), Some("2026-03-18T00:00:00Z"));
    is("since:-24h@h until:now", Some("2026-03-17T10:00:00Z"), Some("2026-03-18T10:20:30.5Z"));
    is("since:-1w@w", Some("2026-03-09T00:00:00Z"), None);
    is("since:-1mon@mon", Some("2026-02-01T00:00:00Z"), None);
    is("since:-1y@y", Some("2025-01-01T00:00:00Z"), None);
    is("since:-90s@m", Some("2026-03-18T10:19:00Z"), None);
    // An event from the future, or one at infinity, does not hide the present.
    for newest in [None, Some(at("2999-01-01T00:00:00Z")), Some(Timestamp::INFINITY)] {
        assert_eq!(range("", newest).unwrap().since, Some(at("2026-03-17T10:20:30.5Z")));
    }
    assert!(matches!(range("since:today until:yesterday", None), Err(RangeError::Empty { .. })));
    assert!(matches!(range("since:now until:now", None), Err(RangeError::Empty { .. })));
    assert!(matches!(range("since:-300000y", None), Err(RangeError::OutOfReach { .. })));
}

#[test]
fn bounds_from_outside_are_terms_like_others() {
    let mut filter = Filter::parse("until:today").unwrap();
    filter.set_since("-7d").unwrap();
    assert_eq!(filter, Filter::parse("since:-7d until:today").unwrap());
    assert!(filter.set_until("now").unwrap_err().to_string().contains("twice"));
    assert!(filter.set_since("whenever").unwrap_err().to_string().contains("not a time"));
}

fn whens() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("now".to_owned()),
        Just("today".to_owned()),
        Just("yesterday".to_owned()),
        "[-+][0-9]{1,4}(s|m|h|d|w|mon|y)(@(s|m|h|d|w|mon|y))?",
        "20[0-9]{2}-0[1-9]-[01][1-9]",
        "20[0-9]{2}-0[1-9]-1[0-9]T[01][0-9]:[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,9})?)?(Z|[+-]0[0-9]:30)?",
    ]
}

/// Conditions as the parser makes them, with values of any characters.
fn conditions() -> impl Strategy<Value = Expr> {
    let text =
        || prop_oneof!["[a-z0-9_.@*:/-]{0,8}", "[^\0]{0,6}", Just("null".to_owned()), Just("*".to_owned())];
    let fields: Vec<Field> = Field::all().collect();
    let one = (proptest::sample::select(fields), any::<bool>()).prop_flat_map(move |(field, contains)| {
        let fold = move |t: String| if field.kind() == Kind::Email { t.to_ascii_lowercase() } else { t };
        let equals = text().prop_map(move |t| Matcher::Equals(fold(t))).boxed();
        let matcher = match field.kind() {
            Kind::Word => {
                proptest::sample::select(field.words()).prop_map(|w| Matcher::Equals(w.to_owned())).boxed()
            }
            Kind::Address => (any::<std::net::IpAddr>(), 0u8..=128)
                .prop_map(|(a, bits)| {
                    let bits = if a.is_ipv4() { bits % 33 } else { bits };
                    Matcher::Network(format!("{a}/{bits}").parse().unwrap())
                })
                .boxed(),
            Kind::Resource => ("[^\0/]{1,5}", text(), any::<bool>())
                .prop_map(|(resource_type, id, prefix)| Matcher::Resource { resource_type, id, prefix })
                .boxed(),
            _ if contains => text()
                .prop_filter("contains something", |t| !t.is_empty())
                .prop_map(move |t| Matcher::Contains(fold(t)))
                .boxed(),
            _ => prop_oneof![
                equals,
                text().prop_filter("begins", |t| !t.is_empty()).prop_map(move |t| Matcher::Prefix(fold(t)))
            ]
            .boxed(),
        };
        let special = match field {
            _ if contains && matches!(field.kind(), Kind::Text | Kind::Email | Kind::Actor) => {
                matcher.clone()
            }
            f if f.is_nullable() => prop_oneof![Just(Matcher::Absent), Just(Matcher::Present)].boxed(),
            _ => Just(Matcher::Present).boxed(),
        };
        let matcher = prop_oneof![4 => matcher, 1 => special];
        proptest::collection::vec(matcher, 1..4).prop_map(move |mut any_of| {
            let mut seen = Vec::new();
            any_of.retain(|m| {
                !seen.contains(m) && {
                    seen.push(m.clone());
                    true
                }
            });
            Match { field, any_of }
        })
    });
    (one, any::<bool>()).prop_map(
        |(m, not)| {
            if not { Expr::Not(Box::new(Expr::Match(m))) } else { Expr::Match(m) }
        },
    )
}

proptest! {
    #[test]
    fn a_filter_survives_being_printed_and_read(
        since in proptest::option::of(whens()), until in proptest::option::of(whens()), all_time: bool,
        all_of in proptest::collection::vec(conditions(), 0..4),
    ) {
        let mut filter = Filter { all_time, all_of, ..Filter::default() };
        if let Some(t) = since && filter.set_since(&t).is_err() { filter.since = None; }
        if let Some(t) = until && filter.set_until(&t).is_err() { filter.until = None; }
        let printed = filter.canonical();
        prop_assert_eq!(Filter::parse(&printed).map_err(|e| e.render(&printed)), Ok(filter));
    }

    #[test]
    fn any_text_is_read_or_refused_in_a_place(text in any::<String>()) {
        read_or_refused(&text)?;
    }

    #[test]
    fn any_tokens_are_read_or_refused_in_a_place(tokens in proptest::collection::vec(proptest::sample::select(vec![
        "actor", "sev", "res", "ip", "since", "all-time", "new.a[0].b", ":", "=", "!=", ">=", "<", "~", ",", " ", "-", "!",
        "NOT", "AND", "or", "&&", "||", "(", ")", "\"", "\\", "*", "null", "/", "..", "->", "@", "in", "critical", "-7d",
        "-24h@h", "2026-01-01T00:00Z", "10.0.0.0/8", "::1", "é", "\u{202e}", "\t",
    ]), 0..12)) {
        read_or_refused(&tokens.concat())?;
    }
}

fn read_or_refused(text: &str) -> Result<(), TestCaseError> {
    match Filter::parse(text) {
        Ok(filter) => {
            prop_assert_eq!(Filter::parse(&filter.canonical()), Ok(filter));
        }
        Err(error) => {
            prop_assert!(text.get(error.span()).is_some());
            let shown = error.render(text);
            let safe = shown.split('\n').all(|l| crate::domain::Safe::from_untrusted(l).as_str() == l);
            prop_assert!(safe, "{shown:?}");
        }
    }
    Ok(())
}
