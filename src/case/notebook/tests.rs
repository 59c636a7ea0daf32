use super::*;
use crate::filter::{Facts as _, Filter, Question, Selection};
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt as _;

fn trail() -> Trail {
    Trail {
        organization_id: "acme".to_owned(),
        place: "profile prod".to_owned(),
        object: "7/audit/public.audit_events".to_owned(),
    }
}

fn event(n: u8) -> Subject {
    let row = EventRow {
        event_id: format!("e-{n}"),
        timestamp: Timestamp::from_micros(i64::from(n)),
        ..EventRow::sample()
    };
    Subject::of(&trail(), &row)
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// A case of its own in a folder of its own.
fn case() -> (tempfile::TempDir, CaseFile) {
    let folder = tempfile::tempdir().unwrap();
    let case = CaseFile::named(folder.path(), DEFAULT).unwrap();
    (folder, case)
}

fn book(case: &CaseFile) -> Book {
    let contents = case.load();
    assert_eq!((&contents.remarks, &contents.refused), (&Vec::new(), &None));
    Book::of(contents, Some(&trail()))
}

/// What is to be seen of a book, without ids.
fn seen(book: &Book) -> Vec<String> {
    let entry = |entry: &&Entry| {
        let notes: Vec<String> = entry.notes.iter().map(|n| format!("{}:{}", n.stamp.by, n.text)).collect();
        let tags: Vec<&str> = entry.tags.iter().map(|t| t.tag.as_str()).collect();
        let verdicts: Vec<String> =
            entry.verdicts.iter().map(|v| format!("{}:{}", v.stamp.by, v.verdict)).collect();
        format!("{} {} {notes:?} {tags:?} {verdicts:?}", entry.event.event_id, entry.signs())
    };
    book.entries().iter().map(entry).collect()
}

#[test]
fn what_was_said_stands_until_it_is_taken_back() {
    let (folder, case) = case();
    assert!(!case.exists() && CaseFile::all(folder.path()).unwrap().is_empty());
    let tags = |add: &[&str], remove: &[&str]| Wish::Tags {
        event: event(1),
        add: add.iter().map(|t| (*t).to_owned()).collect(),
        remove: remove.iter().map(|t| (*t).to_owned()).collect(),
    };
    let wishes = [
        Wish::ToggleBookmark(event(1)),
        tags(&["exfil", "a"], &[]),
        Wish::Note(event(1), "first".to_owned()),
        Wish::Verdict(event(1), Some(Opinion::Suspicious)),
        Wish::ToggleBookmark(event(2)),
    ];
    assert_eq!(case.write(&wishes, at(1), "eve").unwrap(), 6);
    assert_eq!(case.path().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        seen(&book(&case)),
        ["e-2 ★ [] [] []", r#"e-1 ★✎# ["eve:first"] ["a", "exfil"] ["eve:suspicious"]"#]
    );

    let note = book(&case).get("e-1").unwrap().notes[0].stamp.id.clone();
    let again = [
        Wish::ToggleBookmark(event(2)),
        Wish::Bookmark(event(1), true),
        tags(&["exfil"], &["a", "never given"]),
        Wish::Reword(event(1), vec![note.clone()], "second".to_owned()),
        Wish::Verdict(event(1), Some(Opinion::Malicious)),
        Wish::Verdict(event(1), Some(Opinion::Malicious)),
    ];
    assert_eq!(case.write(&again, at(2), "eve").unwrap(), 4);
    assert_eq!(seen(&book(&case)), [r#"e-1 ★✎# ["eve:second"] ["exfil"] ["eve:malicious"]"#]);
    assert!(book(&case).get("e-1").unwrap().notes[0].is_edited);

    let note = book(&case).get("e-1").unwrap().notes[0].stamp.id.clone();
    let nothing = [
        Wish::Bookmark(event(1), false),
        tags(&[], &["exfil"]),
        Wish::Reword(event(1), vec![note], String::new()),
        Wish::Verdict(event(1), None),
    ];
    case.write(&nothing, at(3), "eve").unwrap();
    assert!(book(&case).is_empty());
    assert_eq!(case.load().records.len(), 14, "nothing is lost");
    assert_eq!(CaseFile::all(folder.path()).unwrap()[0].name, DEFAULT);
}

#[test]
fn two_analysts_lose_nothing_and_a_note_edited_by_both_shows_both() {
    let ((_a, mine), (_b, theirs)) = (case(), case());
    mine.write(&[Wish::Note(event(1), "draft".to_owned()), Wish::ToggleBookmark(event(1))], at(1), "eve")
        .unwrap();
    theirs.merge(mine.load().records).unwrap();
    let note = book(&mine).get("e-1").unwrap().notes[0].stamp.id.clone();
    let reworded = |text: &str| Wish::Reword(event(1), vec![note.clone()], text.to_owned());
    mine.write(&[reworded("by eve"), Wish::ToggleBookmark(event(1))], at(3), "eve").unwrap();
    // Who bookmarks it without having seen it taken away, has it bookmarked.
    theirs.write(&[reworded("by bob"), Wish::ToggleBookmark(event(1))], at(2), "bob").unwrap();
    theirs.write(&[Wish::ToggleBookmark(event(1))], at(4), "bob").unwrap();
    let (m, t) = (mine.load().records, theirs.load().records);
    assert_eq!(mine.merge(t.clone()).unwrap(), Merged { added: 3, known: 2 });
    assert_eq!(theirs.merge(m).unwrap(), Merged { added: 2, known: 2 });
    assert_eq!(seen(&book(&mine)), [r#"e-1 ★✎ ["bob:by bob", "eve:by eve"] [] []"#]);
    assert_eq!(book(&mine), book(&theirs));
    assert_eq!(mine.merge(t).unwrap(), Merged { added: 0, known: 5 }, "again");
    // Either rewords both.
    let both = book(&mine).get("e-1").unwrap().notes.iter().map(|n| n.stamp.id.clone()).collect();
    mine.write(&[Wish::Reword(event(1), both, "agreed".to_owned())], at(5), "eve").unwrap();
    assert_eq!(seen(&book(&mine)), [r#"e-1 ★✎ ["eve:agreed"] [] []"#]);
}

#[test]
fn a_trail_is_known_again_by_its_table_or_its_place() {
    let is = trail();
    for (other, expected) in [
        (Trail { place: "profile other".to_owned(), ..is.clone() }, true),
        (Trail { object: "8/audit/public.audit_events".to_owned(), ..is.clone() }, true),
        (
            Trail {
                object: "unknown/audit/public.audit_events".to_owned(),
                place: String::new(),
                ..is.clone()
            },
            true,
        ),
        (Trail { object: "8/x/y".to_owned(), place: "profile other".to_owned(), ..is.clone() }, false),
        (Trail { organization_id: "globex".to_owned(), ..is.clone() }, false),
    ] {
        assert_eq!(is.is_same(&other), expected, "{other:?}");
    }
    let (_folder, case) = case();
    let mut elsewhere = event(1);
    elsewhere.trail = Trail { organization_id: "globex".to_owned(), ..trail() };
    case.write(&[Wish::ToggleBookmark(event(1)), Wish::ToggleBookmark(elsewhere)], at(1), "eve").unwrap();
    assert_eq!((book(&case).entries().len(), book(&case).others), (1, 1));
    assert_eq!(Book::of(case.load(), None).entries().len(), 2);
}

#[test]
fn filters_ask_the_case() {
    let (_folder, case) = case();
    let wishes = [
        Wish::ToggleBookmark(event(1)),
        Wish::Note(event(2), "x".to_owned()),
        Wish::Tags { event: event(3), add: vec!["exfil".to_owned()], remove: Vec::new() },
    ];
    case.write(&wishes, at(1), "eve").unwrap();
    let book = book(&case);
    let only = |ids: &[&str]| Some(Selection::Only(ids.iter().map(|id| (*id).to_owned()).collect()));
    for (text, expected) in [
        ("is:bookmarked", only(&["e-1"])),
        ("is:noted", only(&["e-2"])),
        ("is:noted,bookmarked", only(&["e-1", "e-2"])),
        ("tag:exfil,other", only(&["e-3"])),
        ("tag:other", only(&[])),
        ("integrity:verified", None),
    ] {
        let filter = Filter::parse(text).unwrap();
        let crate::filter::Expr::Local(local) = &filter.conditions()[0] else { panic!("{text}") };
        assert_eq!(book.answer(&local.question), expected, "{text}");
    }
    for (text, absence) in [
        ("tag:other", Some("no event with the tag other")),
        ("actor:x tag:other,b -is:noted", Some("no event with the tag other or b")),
        ("tag:other OR tag:b", Some("no event with the tag other")),
        ("tag:other OR is:noted", None),
        ("-tag:other", None),
        ("tag:exfil", None),
    ] {
        let mut filter = Filter::parse(text).unwrap();
        filter.supply(&book);
        assert_eq!(filter.asks_in_vain().map(Question::absence).as_deref(), absence, "{text}");
    }
    let mut refused = book;
    refused.refused = Some("others can write it".to_owned());
    let filter = Filter::parse("is:bookmarked").unwrap();
    let crate::filter::Expr::Local(local) = &filter.conditions()[0] else { panic!() };
    assert_eq!(refused.answer(&local.question), None);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["", "../x", "a/b", ".", "..", ".hidden", "a b", "a\u{202e}", &"x".repeat(41)] {
        assert!(CaseFile::named(folder.path(), name).is_err(), "{name}");
    }
    assert_eq!(tag("#exfil/dns").unwrap(), "exfil/dns");
    for bad in ["", "#", "two words", "a,b", "a\n", "*"] {
        assert!(tag(bad).is_err(), "{bad}");
    }
    assert!(note(" \n").is_err() && note(&"x".repeat(LONGEST_NOTE + 1)).is_err());
}

#[test]
fn a_file_of_an_earlier_build_is_read() {
    // As the first build with cases wrote it.
    let lines = include_str!("../../../tests/fixtures/case-1.ndjson");
    let contents = read("case-1.ndjson", lines.as_bytes());
    assert_eq!((contents.remarks.as_slice(), &contents.refused), (&[][..], &None));
    let book = Book::of(contents, None);
    assert_eq!(seen(&book), [r#"e-1 ★✎# ["eve:second"] ["exfil"] ["eve:malicious"]"#]);
}

/// Records of an investigation by up to three analysts.
fn records() -> impl Strategy<Value = Vec<Record>> {
    let step = (0_u8..6, 0_u8..3, 0_usize..3, 0_i64..50);
    proptest::collection::vec(step, 0..30).prop_map(|steps| {
        let mut all: Vec<Record> = Vec::new();
        for (kind, n, by, time) in steps {
            let by = ["eve", "bob", "zoe"][by];
            let note = all.iter().rev().find(|r| matches!(r.act, Act::Note { .. })).map(|r| r.id.clone());
            let wish = match kind {
                0 => Wish::ToggleBookmark(event(n)),
                1 => Wish::Note(event(n), format!("note {time}")),
                2 => Wish::Reword(event(n), note.into_iter().collect(), format!("reworded {time}")),
                3 => Wish::Tags { event: event(n), add: vec!["x".to_owned()], remove: vec!["y".to_owned()] },
                4 => Wish::Tags { event: event(n), add: vec!["y".to_owned()], remove: vec!["x".to_owned()] },
                _ => Wish::Verdict(event(n), Opinion::ALL.get(n as usize).copied()),
            };
            let acts = wish.acts(&all, by);
            all.extend(acts.into_iter().map(|act| Record::new(act, at(time), by)));
        }
        all
    })
}

fn union(parts: &[&[Record]]) -> Book {
    let (_folder, case) = case();
    for part in parts {
        case.merge(part.to_vec()).unwrap();
    }
    book(&case)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_merge_is_commutative_associative_and_idempotent(a in records(), b in records(), c in records()) {
        let ab = union(&[&a, &b]);
        prop_assert_eq!(&ab, &union(&[&b, &a]));
        prop_assert_eq!(&ab, &union(&[&a, &b, &a, &b]));
        let (_one, left) = case();
        let (_two, right) = case();
        left.merge(a.clone()).unwrap();
        left.merge(b.clone()).unwrap();
        right.merge(b.clone()).unwrap();
        right.merge(c.clone()).unwrap();
        prop_assert_eq!(union(&[&left.load().records, &c]), union(&[&a, &right.load().records]));
        // Without loss.
        let (_three, all) = case();
        for part in [&a, &b, &c] {
            all.merge(part.clone()).unwrap();
        }
        let merged = all.load().records;
        prop_assert!(a.iter().chain(&b).chain(&c).all(|record| merged.contains(record)));
    }

    #[test]
    fn a_case_that_is_written_out_reads_back(records in records()) {
        let text = lines(&records).unwrap();
        let contents = read("x", text.as_bytes());
        prop_assert_eq!(&contents.records, &records);
        prop_assert!(contents.remarks.is_empty() && contents.refused.is_none());
    }
}
