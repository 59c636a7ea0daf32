mod random;

use super::*;
use crate::domain::{TimeRange, Timestamp};
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

/// The examples of the documentation, with their canonical spelling.
const EXAMPLES: [(&str, &str); 25] = [
    ("sev:critical since:-24h", "since:-24h sev:critical"),
    ("actor:eve@corp.example", "actor:eve@corp.example"),
    ("actor:user-17,user-18 -action:read", "actor:user-17,user-18 -action:read"),
    (
        "cat:auth type:login.failed since:yesterday until:today",
        "since:yesterday until:today cat:auth type:login.failed",
    ),
    ("res:api_key/ak-42", "res:api_key/ak-42"),
    (
        "sess:s-9f3 since:2026-11-17T00:00Z until:2026-11-18T00:00Z",
        "since:2026-11-17T00:00:00.000000Z until:2026-11-18T00:00:00.000000Z sess:s-9f3",
    ),
    ("ip:203.0.113.0/24 -actor:svc-*", "ip:203.0.113.0/24 -actor:svc-*"),
    ("action:export res:dataset/* since:-7d@d", "since:-7d@d action:export res:dataset/*"),
    ("changed:role", "changed:role"),
    ("role:viewer->admin", "role:viewer->admin"),
    ("new.roles:admin -old.roles:admin", "new.roles:admin -old.roles:admin"),
    ("old.quota>100 new.quota<=10", "old.quota>100 new.quota<=10"),
    ("new.owner:null changed:owner", "new.owner:null changed:owner"),
    ("new.mfa.enabled:false changed:mfa.enabled", "new.mfa.enabled:false changed:mfa.enabled"),
    ("(type:token.* OR type:api_key.*) AND action:create", "(type:token.* OR type:api_key.*) action:create"),
    (r#"ua~"curl/" actor_type:user"#, "ua~curl/ actor_type:user"),
    (r#""prompt injection" since:-30d"#, r#"since:-30d "prompt injection""#),
    ("/AKIA[0-9A-Z]{16}/ since:-1h", "since:-1h /AKIA[0-9A-Z]{16}/"),
    ("actor in @suspects.txt since:-14d", "since:-14d actor:user-3,svc-*,eve@corp.example"),
    ("req:req-88123", "req:req-88123"),
    ("around:evt-000300000 span:5m", "around:evt-000300000 span:5m"),
    (
        "sev>=warning tod:22:00..06:00 zone:Europe/Berlin",
        "zone:Europe/Berlin sev:warning,critical tod:22:00..06:00",
    ),
    ("integrity:broken,unverified since:-90d", "since:-90d integrity:broken,unverified"),
    ("is:bookmarked tag:exfil", "is:bookmarked tag:exfil"),
    (
        "proj:p-7 action:update,delete -onlychanged:updated_at,last_seen",
        "proj:p-7 action:update,delete -onlychanged:updated_at,last_seen",
    ),
];

/// The lists that filters of these tests name.
fn list(name: &str) -> Result<String, String> {
    match name {
        "suspects.txt" => {
            Ok("\u{feff}# from the ticket\nuser-3\n\n  svc-* \r\neve@corp.example\nuser-3\n".to_owned())
        }
        "empty.txt" => Ok("# nothing\n".to_owned()),
        "long.txt" => Ok("x\n".repeat(10_001)),
        "addresses" => Ok("10.0.0.0/8\n2001:db8::1".to_owned()),
        _ => Err("there is no such file".to_owned()),
    }
}

#[test]
fn the_examples_of_the_documentation_are_read() {
    for (text, wanted) in EXAMPLES {
        let filter = Filter::parse_with(text, &list).unwrap_or_else(|e| panic!("{}", e.render(text)));
        assert_eq!(filter.canonical(), wanted, "{text}");
        assert_eq!(Filter::parse(wanted).unwrap(), filter);
    }
}

#[test]
fn the_documentation_shows_filters_that_are_read() {
    let text = include_str!("../../docs/reference/filter.md");
    let (_, examples) = text.split_once("## Examples").unwrap();
    let mut read = 0;
    for row in examples.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (filter, _) = row.split_once("` |").unwrap();
        Filter::parse(filter).unwrap_or_else(|e| panic!("{}", e.render(filter)));
        read += 1;
    }
    assert!(read > 10);
}

#[test]
fn states_words_and_clocks_have_one_canonical_form() {
    for (text, wanted) in [
        ("a or b", "\"a\" OR \"b\""),
        ("type:a OR type:b AND NOT c", "type:a OR type:b -\"c\""),
        ("((type:a) (type:b))", "type:a type:b"),
        ("type:a OR (type:b || type:c)", "type:a OR type:b OR type:c"),
        ("-(type:a type:b)", "-(type:a type:b)"),
        ("-(-type:a) !(!(x))", "type:a \"x\""),
        ("(type:a OR type:b) since:-7d", "since:-7d (type:a OR type:b)"),
        ("login.failed creat* \"two  words\"", "\"login.failed\" \"creat\"* \"two  words\""),
        (
            "new.n:100 old.n:\"100\" any.b:true any.s:\"true\"",
            "new.n:100 old.n:\"100\" any.b:true any.s:\"true\"",
        ),
        ("NEW.Role:Admin previous_state.x:missing", "new.Role:Admin old.x:missing"),
        ("new.a.b[0].c:x new.\"odd \\\"key\".c:y", "new.a.b[0].c:x new.\"odd \\\"key\".c:y"),
        ("new.**.role:admin changed:**.role,quota", "new.**.role:admin changed:**.role,quota"),
        ("new.n:1..10,20 new.n>=-1.5e3", "new.n:1..10,20 new.n>=-1.5e3"),
        ("new.n:>5 new.t!=x", "new.n>5 -new.t:x"),
        (
            "new.zip:01234 new.v:1.2.3 new.when:2026-01-01..2026-02-01",
            "new.zip:\"01234\" new.v:1.2.3 new.when:2026-01-01..2026-02-01",
        ),
        ("new.t~a,b new.t:a*,*,null", "new.t~a,b new.t:a*,*,null"),
        ("role:->admin role:viewer-> role:null->*", "role:->admin role:viewer-> role:null->*"),
        ("any.type:a->b any.role:a->b", "any.type:a->b role:a->b"),
        ("**.role:1->\"1\"", "**.role:1->\"1\""),
        ("changed:* changed:\"a b\".c", "changed:* changed:\"a b\".c"),
        (
            "tod:22..06 tod>=18:00 tod<06:30 tod:12:00",
            "tod:22:00..06:00 tod:18:00..24:00 tod:00:00..06:30 tod:12:00..12:01",
        ),
        ("dow:sat,sun dow:fri..mon -dow:Wednesday", "dow:sat,sun dow:mon,fri,sat,sun -dow:wed"),
        ("sev:info..warning", "sev:info,warning"),
        ("/a\\/b\\d/i", "/a\\/b\\d/i"),
        ("at:2026-11-17", "since:2026-11-17T00:00:00.000000Z until:2026-11-18T00:00:00.000000Z"),
        (
            "at:2026-11-17 zone:Europe/Berlin",
            "since:2026-11-16T23:00:00.000000Z until:2026-11-17T23:00:00.000000Z zone:Europe/Berlin",
        ),
        ("at:2026-11-17T08:15Z", "since:2026-11-17T08:15:00.000000Z until:2026-11-17T08:16:00.000000Z"),
        ("at:-1h@h", "at:-1h@h"),
        ("since:monday 08:00 Europe/Berlin type:a", "since:\"mon 08:00 Europe/Berlin\" type:a"),
        ("since:\"today 08:00\" until:Tuesday", "since:\"today 08:00\" until:tue"),
        ("since:\"2026-07-01 08:00 America/New_York\"", "since:2026-07-01T12:00:00.000000Z"),
        ("around:\"-1h\" span:90s", "around:-1h span:90s"),
        ("around:evt-1", "around:evt-1"),
    ] {
        assert_eq!(canonical(text), wanted, "{text}");
        assert_eq!(canonical(wanted), wanted);
    }
}

#[test]
fn lists_come_from_the_shell() {
    let canonical = |text: &str| Filter::parse_with(text, &list).unwrap().canonical();
    assert_eq!(
        canonical("ip in @addresses OR actor in @\"suspects.txt\""),
        "ip:10.0.0.0/8,2001:db8::1 OR actor:user-3,svc-*,eve@corp.example"
    );
    assert_eq!(canonical("-actor in a,b"), "-actor:a,b");
    for (text, word) in [
        ("actor in @gone.txt", "no such file"),
        ("actor in @empty.txt", "no value"),
        ("actor in @long.txt", "10001"),
        ("ip in @suspects.txt", "not an address"),
        ("actor in @", "name of a file"),
    ] {
        let error = Filter::parse_with(text, &list).unwrap_err();
        assert!(error.to_string().contains(word), "{text}: {error}");
    }
    assert!(Filter::parse("actor in @suspects.txt").unwrap_err().to_string().contains("here"));
}

#[test]
fn what_cannot_be_read_is_shown_in_its_place() {
    insta::assert_snapshot!(refusal("since:-7d actr:alice"), @"
    unknown field 'actr'
      since:-7d actr:alice
                ^^^^
      did you mean 'actor'?
    ");
    insta::assert_snapshot!(refusal("user:eve"), @"
    unknown field 'user'
      user:eve
      ^^^^
      did you mean 'actor'? a key of the states is written any.user
    ");
    for (text, meant) in [
        ("source_ip:10.0.0.1", "ip"),
        ("host:10.0.0.1", "ip"),
        ("Username:eve", "actor"),
        ("op:read", "action"),
    ] {
        assert!(refusal(text).contains(&format!("did you mean '{meant}'?")), "{}", refusal(text));
    }
    assert!(refusal("earliest:-1h").contains("since:"), "{}", refusal("earliest:-1h"));
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
    insta::assert_snapshot!(refusal("type:login OR logout"), @r#"
    ambiguous
      type:login OR logout
                 ^^^^^^^^^
      write type:login,logout for another value of the field, or type:login OR "logout" for an event that has the word
    "#);
    insta::assert_snapshot!(refusal("type:viewer->admin"), @r#"
    'type' is a column, which does not change
      type:viewer->admin
      ^^^^^^^^^^^^^^^^^^
      write any.type:viewer->admin for the key of that name in the states, or type:"viewer->admin" for the text
    "#);
    insta::assert_snapshot!(refusal("since:-7d type:a OR type:b"), @"
    a time counts for the whole filter, not for one side of OR
      since:-7d type:a OR type:b
            ^^^
      put the alternatives in parentheses: since:-7d (a:x OR b:y)
    ");
    insta::assert_snapshot!(refusal("since:\"2026-10-25 02:30 Europe/Berlin\""), @r#"
    2026-10-25 02:30:00 happens twice in Europe/Berlin: 2026-10-25T00:30:00.000000Z or 2026-10-25T01:30:00.000000Z
      since:"2026-10-25 02:30 Europe/Berlin"
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      write it with its offset, such as 2026-10-25T02:30+01:00
    "#);
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
      write 2026-01-15, 2026-01-15T09:58:01Z, -7d, -24h@h, now, today, yesterday or monday (units: s m h d w mon y; UTC unless zone: says otherwise)
    ");
}

#[test]
fn a_filter_can_be_said_in_words() {
    let said = |text: &str| Filter::parse_with(text, &list).unwrap().explain("90 days");
    insta::assert_snapshot!(said(""), @"events, last 90 days UTC");
    insta::assert_snapshot!(said("action:update actor:user-1 changed:role since:-7d"), @"update events by user-1 that changed role, since 7 days ago UTC");
    insta::assert_snapshot!(said("action:update,delete -actor:svc-* res:dataset/* ip:10.0.0.0/8 at:yesterday zone:Europe/Berlin"), @"update and delete events but not by svc-… on any dataset from 10.0.0.0/8, during yesterday Europe/Berlin");
    insta::assert_snapshot!(said("new.roles:admin -old.roles:admin old.quota>100 since:-7d@d until:now"), @r#"events whose new roles is or holds "admin", but not those whose old roles is or holds "admin", whose old quota is above the number 100, from the start of the day 7 days ago to before now UTC"#);
    insta::assert_snapshot!(said("(type:a OR \"exact phrase\") role:viewer->admin tod:22:00..06:00 dow:sat,sun all-time"), @r#"events either with type a or with the words "exact phrase", where role went from viewer to admin between 22:00 and 06:00 on sat or sun, all time"#);
    insta::assert_snapshot!(said("around:evt-1 -integrity:broken proj:null new.x:null,5 any.y:\"5\""), @r#"events but not those whose integrity is broken without project, whose new x is null or missing or is or holds the number 5, whose old or new y is or holds "5", the 50 before and the 50 after event evt-1"#);
    insta::assert_snapshot!(said("actor:a,b,c,d,e,f,g until:2026-01-01"), @"events by a, b, c, d, e or 2 others, 90 days before 2026-01-01 00:00:00 UTC");
}

/// Every refusal with its place and a word of its message.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_cannot_be_meant_is_refused_and_never_misread() {
    let mut wrong = Vec::new();
    for (text, place, word) in [
        ("a:x OR b:y", "a", "unknown field"),
        ("type:a type:b OR c", "OR c", "ambiguous"),
        ("(type:a OR b)", "OR b", "ambiguous"),
        ("since:-7d OR type:a", "-7d", "whole filter"),
        ("type:a OR since:-7d", "-7d", "whole filter"),
        ("(since:-7d)", "since", "whole filter"),
        ("(sev:info", "(", "never closed"),
        ("sev:info)", ")", "closes none"),
        ("()", "()", "nothing"),
        ("or sev:info", "or", "left"),
        ("sev:info or", "or", "right"),
        ("sev:info OR OR x", "OR", "left"),
        ("NOT OR", "OR", "negation"),
        ("hello,world", ",", "field"),
        ("\"...\"", "\"...\"", "no letter"),
        ("c.*", "c.*", "beginning of a word"),
        ("/AKIA", "/", "never closed"),
        ("//", "//", "empty"),
        ("/a/b", "b", "follows"),
        ("type:a->b", "type:a->b", "column"),
        ("old.role:a->b", "role", "both states"),
        ("role:a->b,c", ",", "one value"),
        ("role:->", "->", "names no value"),
        ("role:admin", "role", "unknown field"),
        ("new:x", "new", "path"),
        ("new.:x", "", "key"),
        ("new.a..b:x", ".", "key"),
        ("new.a[x]:y", "x", "brackets"),
        ("new.a[99999999999]:y", "9", "brackets"),
        ("new.n:1..x", "1..x", "two numbers"),
        ("new.n>true", "true", "no order"),
        ("new.n>1,2", ">", "one value"),
        ("new.n:1e999", "1e999", "beyond"),
        ("new.*:x", "*", "key"),
        ("changed:", "", "path"),
        ("changed>x", ">", "':'"),
        ("onlychanged:*", "*", "root"),
        ("onlychanged:**.x", "**.x", "root"),
        ("resource_id:a..b", "..", "range"),
        ("actor:@suspects.txt", "@suspects.txt", "in @file"),
        ("nobody in @x", "@x", "'@'"),
        ("tod:25:00", "25:00", "time of day"),
        ("tod:22:00..22:00", "22:00..22:00", "no time"),
        ("dow:someday", "someday", "day of the week"),
        ("zone:CET sev:info", "CET", "zone"),
        ("span:5m", "5m", "around"),
        ("around:evt-1 span:5mon", "5mon", "duration"),
        ("around:evt-1 since:-7d", "evt-1", "both choose"),
        ("at:now", "now", "interval"),
        ("at:today until:now", "today", "both choose"),
        ("since:\"today 08:00 Mars/Olympus\"", "\"today 08:00 Mars/Olympus\"", "zone"),
        ("until:\"2026-03-29 02:30 Europe/Berlin\"", "\"2026-03-29 02:30 Europe/Berlin\"", "never"),
        ("integrity:borken", "borken", "broken"),
        ("is:nice", "nice", "bookmarked"),
        ("timestamp:2026-01-01", "timestamp", "since"),
        ("-since:-7d", "-", "negated"),
        ("not all-time", "not", "negated"),
        ("since>-7d", ">", "':'"),
        ("since:-7d since:-8d", "-8d", "twice"),
        ("since:-7d,-8d", ",", "one value"),
        ("since:-7d..now", "..", "range"),
        ("until:-5x", "-5x", "not a time"),
        ("until:2026-02-30", "2026-02-30", "not a time"),
        ("--sev:info", "-", "once"),
        ("- sev:info", "-", "negation"),
        ("not", "not", "negation"),
        ("and sev:info", "and", "left"),
        ("sev:info and and sev:info", "and", "left"),
        ("sev:info and", "and", "right"),
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
        ("ip:10.0.*", "10.0.*", "not an address"),
        ("ip:10.0.0.0/33", "10.0.0.0/33", "not an address"),
        ("actor:\"a\0b\"", "\"a\0b\"", "U+0000"),
    ] {
        match Filter::parse(text) {
            Ok(filter) => wrong.push(format!("{text} was read as {filter}")),
            Err(error) if &text[error.span()] != place || !error.to_string().contains(word) => {
                wrong.push(format!("{text}: '{}': {error}", &text[error.span()]));
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let long = "x".repeat(Filter::MAX_LENGTH + 1);
    assert!(Filter::parse(&long).unwrap_err().to_string().contains("at most"));
    assert!(Filter::parse(&"x ".repeat(501)).unwrap_err().to_string().contains("500 terms"));
    assert!(Filter::parse(&"(".repeat(5_000)).unwrap_err().to_string().contains("deep"));
    assert!(Filter::parse(&format!("{}x{}", "(".repeat(50), ")".repeat(50))).is_ok());
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

#[test]
fn what_the_server_has_no_statistics_of() {
    let beyond = |text: &str| Filter::parse(text).unwrap().is_beyond_statistics();
    for text in [
        "new.role:admin",
        "-changed:role",
        "role:a->b",
        "/x+/",
        "sev:info OR tod:22:00..06:00",
        "onlychanged:a",
        "integrity:verified",
        "sev:info -ua~curl",
    ] {
        assert!(beyond(text), "{text}");
    }
    for text in ["", "actor:a -sev:info", "login ip:203.0.113.0/24 since:-7d", "type:login.*"] {
        assert!(!beyond(text), "{text}");
    }
}
