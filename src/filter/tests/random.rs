//! Filters, texts and tokens at random.

use super::super::*;
use proptest::prelude::*;

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

/// Terms on columns as the parser makes them, with values of any characters.
fn columns() -> impl Strategy<Value = Expr> {
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
    one.prop_map(Expr::Match)
}

fn paths() -> impl Strategy<Value = Path> {
    let key = prop_oneof![3 => "[a-zA-Z_][a-z0-9_-]{0,4}", 1 => "[^\0]{0,4}", 1 => Just("type".to_owned())];
    let step = || prop_oneof![3 => key.clone().prop_map(Step::Key), 1 => any::<u16>().prop_map(|n| Step::Index(n.into()))];
    (any::<bool>(), key.clone(), proptest::collection::vec(step(), 0..3)).prop_map(
        |(anywhere, first, rest)| {
            let mut steps = vec![Step::Key(first)];
            steps.extend(rest);
            Path { anywhere, steps }
        },
    )
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[^\0]{0,6}".prop_map(Value::Text),
        prop_oneof![Just("true"), Just("null"), Just("12"), Just("-1e5"), Just("1e999"), Just("0x1")]
            .prop_map(|t| Value::Text(t.to_owned())),
        "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?"
            .prop_map(|t| Value::Number(t.parse().unwrap())),
        any::<bool>().prop_map(Value::Bool),
    ]
}

fn single_tests() -> impl Strategy<Value = Test> {
    prop_oneof![
        Just(Test::Present),
        Just(Test::Null),
        Just(Test::Missing),
        "[^\0]{1,4}".prop_map(Test::Prefix),
        values().prop_map(Test::Equals),
    ]
}

fn states() -> impl Strategy<Value = Expr> {
    let side = || prop_oneof![Just(Side::Old), Just(Side::New), Just(Side::Any)];
    let ordered = || values().prop_filter("has an order", |v| !matches!(v, Value::Bool(_)));
    let comparison = prop_oneof![
        Just(Comparison::Above),
        Just(Comparison::AtLeast),
        Just(Comparison::Below),
        Just(Comparison::AtMost)
    ];
    let range = (ordered(), ordered())
        .prop_filter("one type", |(a, b)| matches!(a, Value::Text(_)) == matches!(b, Value::Text(_)))
        .prop_map(|(a, b)| Test::Range(a, b));
    let tests = prop_oneof![
        proptest::collection::vec(prop_oneof![4 => single_tests(), 1 => range], 1..3),
        proptest::collection::vec("[^\0]{1,4}".prop_map(Test::Contains), 1..3),
        (comparison, ordered()).prop_map(|(c, v)| vec![Test::Compare(c, v)]),
    ];
    prop_oneof![
        (side(), paths(), tests).prop_map(|(side, path, mut any_of)| {
            let mut seen = Vec::new();
            any_of.retain(|t| {
                !seen.contains(t) && {
                    seen.push(t.clone());
                    true
                }
            });
            Expr::State(StateMatch { side, path, any_of })
        }),
        (paths(), single_tests(), single_tests(), 0..3u8).prop_map(|(path, from, to, kept)| {
            let (from, to) = (Some(from).filter(|_| kept != 1), Some(to).filter(|_| kept != 2));
            Expr::Change(Box::new(Change { path, from, to }))
        }),
        proptest::collection::vec(prop_oneof![4 => paths(), 1 => Just(Path::default())], 1..3).prop_map(
            |mut paths| {
                paths.dedup();
                Expr::Changed(paths)
            }
        ),
        proptest::collection::vec(paths(), 1..3).prop_map(|mut paths| {
            for path in &mut paths {
                path.anywhere = false;
            }
            paths.dedup();
            Expr::OnlyChanged(paths)
        }),
    ]
}

fn others() -> impl Strategy<Value = Expr> {
    let hours = (0..86_400u32, 0..=86_400u32)
        .prop_filter("some time", |(from, to)| from != to)
        .prop_map(|(from, to)| Hours { from, to });
    prop_oneof![
        ("[^\0]{0,5}[a-z0-9]", any::<bool>()).prop_map(|(text, prefix)| Expr::Words(Words { text, prefix })),
        ("([^\0/\\\\]|\\\\[a-z\\\\]|/){1,6}", any::<bool>())
            .prop_map(|(pattern, ignore_case)| Expr::Regex(Regex { pattern, ignore_case })),
        proptest::collection::vec(hours, 1..3).prop_map(Expr::Hours),
        (0..7u8, 0..7u8).prop_map(|(from, to)| {
            let mut days = Weekdays::default();
            days.add(from, to);
            Expr::Weekdays(days)
        }),
        prop_oneof![
            proptest::sample::select(Integrity::ALL.to_vec()).prop_map(|i| Question::Integrity(vec![i])),
            proptest::sample::select(Noted::ALL.to_vec()).prop_map(|n| Question::Is(vec![n])),
            "[^\0]{1,5}".prop_map(|tag| Question::Tag(vec![tag])),
        ]
        .prop_map(|question| Expr::Local(Local { question, answer: None })),
    ]
}

/// Conditions as the parser makes them.
fn conditions() -> impl Strategy<Value = Expr> {
    let term = prop_oneof![3 => columns(), 2 => states(), 2 => others()];
    term.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Expr::and),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Expr::or),
            inner.prop_map(Expr::not),
        ]
    })
}

fn zones() -> impl Strategy<Value = Option<&'static str>> {
    proptest::option::of(proptest::sample::select(vec![
        "Europe/Berlin",
        "America/New_York",
        "UTC",
        "Asia/Kathmandu",
    ]))
}

/// The time terms of a filter, as text.
fn times() -> impl Strategy<Value = String> {
    prop_oneof![
        (proptest::option::of(whens()), proptest::option::of(whens())).prop_map(|(since, until)| {
            let since = since.map(|t| format!("since:\"{t}\" "));
            let until = until.map(|t| format!("until:\"{t}\" "));
            since.unwrap_or_default() + &until.unwrap_or_default()
        }),
        whens().prop_map(|t| format!("at:\"{t}\" ")),
        (prop_oneof![whens(), "[^\0\"\\\\]{1,8}".boxed()], proptest::option::of("[1-9][0-9]{0,2}[smhdw]"))
            .prop_map(|(t, span)| {
                format!("around:\"{t}\" {} ", span.map(|s| format!("span:{s}")).unwrap_or_default())
            }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, ..ProptestConfig::default() })]
    #[test]
    fn a_filter_survives_being_printed_and_read(
        times in times(), zone in zones(), all_time: bool, expr in proptest::option::of(conditions()),
    ) {
        let zone = zone.map(|z| format!("zone:{z}")).unwrap_or_default();
        // Some of these times are none in some zones.
        let mut filter = Filter::parse(&(times + &zone)).unwrap_or_default();
        filter.all_time = all_time;
        filter.all_of = match expr {
            Some(Expr::And(parts)) => parts,
            other => other.into_iter().collect(),
        };
        let printed = filter.canonical();
        prop_assert_eq!(Filter::parse(&printed).map_err(|e| e.render(&printed)), Ok(filter));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]
    #[test]
    fn any_text_is_read_or_refused_in_a_place(text in texts()) {
        read_or_refused(&text)?;
    }

    #[test]
    fn any_tokens_are_read_or_refused_in_a_place(text in tokens()) {
        read_or_refused(&text)?;
    }
}

/// Any characters, and any bytes.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        proptest::collection::vec(any::<u8>(), 0..64)
            .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ]
}

fn tokens() -> impl Strategy<Value = String> {
    let token = proptest::sample::select(vec![
        "actor",
        "sev",
        "res",
        "ip",
        "since",
        "until",
        "at",
        "around",
        "span",
        "zone",
        "tod",
        "dow",
        "all-time",
        "changed",
        "onlychanged",
        "integrity",
        "is",
        "tag",
        "new.a[0].b",
        "old.**.x",
        "any.\"k\"",
        "role",
        ":",
        "=",
        "!=",
        ">=",
        "<",
        "~",
        ",",
        " ",
        " ",
        "-",
        "!",
        "NOT",
        "AND",
        "or",
        "&&",
        "||",
        "(",
        ")",
        "\"",
        "\\",
        "*",
        "null",
        "/",
        "/i",
        "..",
        "->",
        "@",
        "in",
        "critical",
        "word",
        "-7d",
        "-24h@h",
        "today",
        "monday",
        "08:00",
        "22:00..06:00",
        "Europe/Berlin",
        "2026-10-25T02:30",
        "2026-01-01T00:00Z",
        "10.0.0.0/8",
        "::1",
        "100",
        "true",
        "é",
        "\u{202e}",
        "\t",
        "\0",
    ]);
    proptest::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat())
}

/// A million of each: about four minutes of one core.
#[test]
#[ignore = "long: two million filters"]
fn a_million_texts_and_a_million_tokens_are_read_or_refused() {
    let run = |texts: BoxedStrategy<String>| {
        let config =
            ProptestConfig { cases: 1_000_000, failure_persistence: None, ..ProptestConfig::default() };
        proptest::test_runner::TestRunner::new(config).run(&texts, |text| read_or_refused(&text)).unwrap();
    };
    run(texts().boxed());
    run(tokens().boxed());
}

fn read_or_refused(text: &str) -> Result<(), TestCaseError> {
    match Filter::parse(text) {
        Ok(filter) => {
            prop_assert_eq!(Filter::parse(&filter.canonical()), Ok(filter));
        }
        Err(error) => {
            prop_assert!(text.get(error.span()).is_some());
            let shown = error.render(text);
            let safe = shown.split('\n').all(|l| crate::domain::Safe::composed(l).as_str() == l);
            prop_assert!(safe, "{shown:?}");
        }
    }
    Ok(())
}
