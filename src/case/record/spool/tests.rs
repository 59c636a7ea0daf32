use super::*;
use std::time::Duration;

const AT_ONCE: Duration = Duration::ZERO;
const SMALL: Limits = Limits { file: 1_000, all: 8_000 };

type Ends = (Appender, Reader<u32>, Gauge);

fn opened(folder: &Path) -> Ends {
    open(folder, "numbers", "here", SMALL).unwrap()
}

/// All that waits, settled.
fn drained(reader: &mut Reader<u32>) -> Vec<u32> {
    let mut all = Vec::new();
    while let Some(chunk) = reader.next(7).unwrap() {
        assert!(chunk.damaged.is_empty() && chunk.remarks.is_empty(), "{chunk:?}");
        all.extend(&chunk.records);
        reader.settle(&chunk);
    }
    all
}

fn files(folder: &Path) -> Vec<PathBuf> {
    numbers(folder).unwrap().into_iter().map(|number| path(folder, number)).collect()
}

#[test]
fn records_are_read_in_their_order_and_their_files_go() {
    let folder = tempfile::tempdir().unwrap();
    let (mut appender, mut reader, gauge) = opened(folder.path());
    assert!(reader.next(5).unwrap().is_none());
    for n in 0..20 {
        appender.append(&[2 * n, 2 * n + 1], AT_ONCE).unwrap();
    }
    assert_eq!(gauge.pending(), 40);
    assert!(files(folder.path()).len() > 3);
    // What is not settled comes again.
    assert_eq!(reader.next(3).unwrap().unwrap().records, [0, 1, 2]);
    assert_eq!(drained(&mut reader), (0..40).collect::<Vec<_>>());
    assert_eq!((gauge.pending(), files(folder.path()).len()), (0, 1));
    appender.append(&[40], AT_ONCE).unwrap();
    assert_eq!(drained(&mut reader), [40]);
    // Nothing of what was read is left behind, whichever end goes first.
    drop((appender, reader, gauge));
    assert_eq!(files(folder.path()), [] as [PathBuf; 0]);
    let (mut appender, mut reader, _) = opened(folder.path());
    appender.append(&[41], AT_ONCE).unwrap();
    drop(appender);
    assert_eq!(drained(&mut reader), [41]);
    assert_eq!(files(folder.path()), [] as [PathBuf; 0]);
}

#[test]
fn one_program_uses_a_spool_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let (mut appender, mut reader, _) = opened(folder.path());
    for n in 0..30 {
        appender.append(&[n], AT_ONCE).unwrap();
    }
    for _ in 0..2 {
        let chunk = reader.next(6).unwrap().unwrap();
        reader.settle(&chunk);
    }
    let refused = open::<u32>(folder.path(), "numbers", "here", SMALL).unwrap_err().to_string();
    assert!(refused.contains("another program has"), "{refused}");
}

#[test]
fn the_next_program_goes_on_where_the_one_before_ended() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (mut appender, mut reader, _) = opened(folder.path());
        for n in 0..30 {
            appender.append(&[n], AT_ONCE).unwrap();
        }
        let chunk = reader.next(4).unwrap().unwrap();
        reader.settle(&chunk);
    }
    let other = open::<u32>(folder.path(), "numbers", "elsewhere", SMALL).unwrap_err().to_string();
    assert!(other.contains("26 records wait for another target: here"), "{other}");
    let (mut appender, mut reader, gauge) = opened(folder.path());
    appender.append(&[30], AT_ONCE).unwrap();
    assert_eq!(gauge.pending(), 27);
    assert!(reader.next(4).unwrap().unwrap().is_old);
    assert_eq!(drained(&mut reader), (4..31).collect::<Vec<_>>());
    appender.append(&[31], AT_ONCE).unwrap();
    assert!(!reader.next(4).unwrap().unwrap().is_old);
    drop((appender, reader, gauge));
    // The position is a convenience: without it everything that is there comes again.
    std::fs::remove_dir_all(folder.path().join("position")).unwrap();
    let (_appender, mut reader, _) = opened(folder.path());
    assert_eq!(drained(&mut reader).last(), Some(&31));
}

#[test]
fn a_torn_last_line_costs_nothing_that_was_on_disk() {
    for part in [0.02, 0.5, 0.98] {
        let folder = tempfile::tempdir().unwrap();
        {
            let (mut appender, _, _) = opened(folder.path());
            appender.append(&[1, 2], AT_ONCE).unwrap();
            appender.append(&[3], AT_ONCE).unwrap();
        }
        let newest = files(folder.path()).pop().unwrap();
        let whole = std::fs::read_to_string(&newest).unwrap();
        let torn = whole.lines().last().unwrap();
        let cut = &torn[..(torn.len() as f64 * part) as usize];
        std::fs::write(&newest, format!("{whole}{cut}")).unwrap();
        let (mut appender, mut reader, gauge) = opened(folder.path());
        appender.append(&[4], AT_ONCE).unwrap();
        assert_eq!(drained(&mut reader), [1, 2, 3, 4], "{part}");
        assert_eq!(gauge.pending(), 0);
    }
}

#[test]
fn a_line_that_was_damaged_is_handed_out_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (mut appender, _, _) = opened(folder.path());
        appender.append(&[1, 2, 3], AT_ONCE).unwrap();
    }
    let file = files(folder.path()).pop().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"record\":2", "\"record\":9")).unwrap();
    let (_appender, mut reader, gauge) = opened(folder.path());
    let chunk = reader.next(100).unwrap().unwrap();
    assert_eq!(chunk.records, [1, 3]);
    assert_eq!(chunk.damaged.len(), 1);
    assert!(chunk.damaged[0].remark.contains("does not match its checksum"), "{chunk:?}");
    assert!(String::from_utf8_lossy(&chunk.damaged[0].line).contains("\"record\":9"));
    reader.settle(&chunk);
    assert_eq!(gauge.pending(), 0);
}

#[test]
fn a_full_spool_takes_nothing_until_something_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let (mut appender, mut reader, gauge) = opened(folder.path());
    let mut taken = 0;
    let full = loop {
        match appender.append(&[taken], AT_ONCE) {
            Ok(()) => taken += 1,
            Err(refusal) => break refusal,
        }
    };
    let Refusal::Full { bytes, limit } = full else { panic!("{full:?}") };
    assert!(limit == SMALL.all && bytes <= limit && bytes + 300 > limit, "{bytes} of {limit}");
    assert_eq!(gauge.bytes(), (bytes, limit));
    let waiting = std::thread::spawn(move || {
        let taken = appender.append(&[u32::MAX], Duration::from_secs(60));
        (taken, appender)
    });
    // What is waited for may come while the rest is still read.
    let mut read = drained(&mut reader);
    let (waited, mut appender) = waiting.join().unwrap();
    assert_eq!(waited, Ok(()));
    read.extend(drained(&mut reader));
    assert_eq!(read, (0..taken).chain([u32::MAX]).collect::<Vec<_>>());
    // Also where one file takes up all the room.
    let wide: Vec<u32> = (0..50).collect();
    assert!(matches!(appender.append(&wide, AT_ONCE), Err(Refusal::TooLarge { .. })));
    for _ in 0..5 {
        appender.append(&wide[..30], AT_ONCE).unwrap();
        assert_eq!(drained(&mut reader).len(), 30);
    }
}

#[test]
fn what_cannot_be_written_is_not_taken_and_the_next_is() {
    let folder = tempfile::tempdir().unwrap();
    let (mut appender, mut reader, _) = opened(folder.path());
    appender.append(&[1], AT_ONCE).unwrap();
    // A file of this number is there already: as if the disk refused it.
    let open = appender.open.take();
    std::fs::write(path(folder.path(), appender.next), "").unwrap();
    assert!(matches!(appender.append(&[2], AT_ONCE), Err(Refusal::Failed(_))));
    drop(open);
    appender.append(&[3], AT_ONCE).unwrap();
    assert_eq!(drained(&mut reader), [1, 3]);
}
