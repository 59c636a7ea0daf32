//! What a writer has done, in numbers.

use crate::store::writer::Fate;
use std::fmt::Write as _;

/// What became of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fates {
    /// Written.
    pub stored: u64,
    /// There already, the same.
    pub duplicate: u64,
    /// Those of them that are the same original record, mapped to columns by other rules.
    pub mapped_differently: u64,
    /// Dead letters: another event with the id is there.
    pub conflict: u64,
    /// Dead letters: the table cannot hold them, or the server refused them.
    pub rejected: u64,
}

impl Fates {
    pub(super) fn count(&mut self, fate: &Fate) {
        match fate {
            Fate::Stored => self.stored += 1,
            Fate::Duplicate => self.duplicate += 1,
            Fate::MappedDifferently => {
                self.duplicate += 1;
                self.mapped_differently += 1;
            }
            Fate::Conflict(_) => self.conflict += 1,
            Fate::Rejected(_) => self.rejected += 1,
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.stored + self.duplicate + self.conflict + self.rejected
    }
}

/// A writer's numbers, since it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Events that were acknowledged: they are on disk.
    pub acknowledged: u64,
    /// Events that were refused, as the spool was full or could not be written.
    pub refused: u64,
    /// What became of acknowledged events.
    pub delivered: Fates,
    /// What became of events that an earlier writer had left in the spool.
    pub replayed: Fates,
    /// Lines of the spool that were damaged; they are dead letters.
    pub damaged: u64,
    /// Events in the spool.
    pub pending: u64,
    /// Bytes of the spool, and its limit.
    pub spool_bytes: u64,
    /// The limit.
    pub spool_limit: u64,
    /// Transactions that were committed.
    pub batches: u64,
    /// Tries to write that failed and were repeated.
    pub retries: u64,
    /// Why the oldest event of the spool is not in the database yet, where that was tried.
    pub trouble: Option<String>,
}

impl Metrics {
    /// The numbers in the text format of Prometheus.
    pub fn prometheus(&self) -> String {
        let mut text = String::new();
        let head = |text: &mut String, name: &str, kind: &str, help: &str| {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "# HELP agenttrace_writer_{name} {help}\n# TYPE agenttrace_writer_{name} {kind}\n"
            );
        };
        head(&mut text, "events_total", "counter", "Events by what became of them.");
        for (from, fates) in [("now", &self.delivered), ("replay", &self.replayed)] {
            for (fate, count) in [
                ("stored", fates.stored),
                ("duplicate", fates.duplicate),
                ("conflict", fates.conflict),
                ("rejected", fates.rejected),
            ] {
                let _ = writeln!(
                    text,
                    "agenttrace_writer_events_total{{fate=\"{fate}\",from=\"{from}\"}} {count}"
                );
            }
        }
        for (name, kind, help, value) in [
            ("acknowledged_total", "counter", "Events that were acknowledged.", self.acknowledged),
            ("refused_total", "counter", "Events that the spool did not take.", self.refused),
            ("damaged_total", "counter", "Lines of the spool that were damaged.", self.damaged),
            ("batches_total", "counter", "Transactions that were committed.", self.batches),
            ("retries_total", "counter", "Tries to write that failed and were repeated.", self.retries),
            ("pending_events", "gauge", "Events that wait in the spool.", self.pending),
            ("spool_bytes", "gauge", "Bytes of the spool.", self.spool_bytes),
            ("spool_limit_bytes", "gauge", "Bytes that the spool may have.", self.spool_limit),
            ("up", "gauge", "0 while the oldest event cannot be written.", u64::from(self.trouble.is_none())),
        ] {
            head(&mut text, name, kind, help);
            let _ = writeln!(text, "agenttrace_writer_{name} {value}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_its_type_once_and_reads_as_prometheus_text() {
        let metrics = Metrics {
            acknowledged: 7,
            delivered: Fates { stored: 4, duplicate: 2, mapped_differently: 1, conflict: 1, rejected: 0 },
            trouble: Some("away".into()),
            ..Metrics::default()
        };
        let text = metrics.prometheus();
        assert!(text.contains("agenttrace_writer_events_total{fate=\"stored\",from=\"now\"} 4\n"), "{text}");
        assert!(text.contains("agenttrace_writer_acknowledged_total 7\n"));
        assert!(text.contains("agenttrace_writer_up 0\n") && !text.contains("away"));
        let types = text.lines().filter(|line| line.starts_with("# TYPE "));
        let names: std::collections::BTreeSet<_> = types.clone().map(|line| line.split(' ').nth(2)).collect();
        assert_eq!(names.len(), types.count());
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<u64>().is_ok() && name.starts_with("agenttrace_writer_"), "{line}");
        }
    }
}
