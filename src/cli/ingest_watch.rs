//! What `ingest` says while it works.

use super::Out;
use super::ingest_summary::Rehearsed;
use crate::domain::{Safe, grouped};
use crate::ingest::{
    Input, Memory, Observer, Preview, RejectedRecord, RejectsFile, Report, SourceFormat, Standing,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Rejected records that are shown one by one.
const SHOWN: u64 = 20;

/// How often it is written down how far a file was followed; what comes after is read again, as duplicates.
const REMEMBER: Duration = Duration::from_secs(1);

/// Shows progress and rejected records on stderr.
pub(super) struct Watcher {
    out: Out,
    bar: ProgressBar,
    read: Vec<Arc<AtomicU64>>,
    pub(super) started: Instant,
    rejected: u64,
    /// What a rehearsal has seen.
    pub(super) rehearsal: Rehearsed,
    following: Option<Following>,
}

/// How far a file is followed.
struct Following {
    memory: Memory,
    stands: Option<Standing>,
    written: Option<Instant>,
}

impl Following {
    /// Writes it down, where that was not done of late; why it cannot be.
    fn remember(&mut self, now: bool) -> Option<String> {
        let stands = self.stands.as_ref()?;
        if !now && self.written.is_some_and(|written| written.elapsed() < REMEMBER) {
            return None;
        }
        self.written = Some(Instant::now());
        self.memory.store(stands).err().map(|e| e.to_string())
    }
}

impl Watcher {
    pub(super) fn new(out: Out, inputs: &[Input], memory: Option<Memory>) -> Self {
        // Of a file that grows there is no share.
        let size: Option<u64> = inputs.iter().map(|i| i.size).sum();
        let bar = if out.stderr_is_terminal && !out.quiet {
            let template = match size {
                Some(_) => "{bar:24} {percent:>3}%  {msg}  ETA {eta}",
                None => "{spinner} {bytes} {msg}",
            };
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr()).with_style(style)
        } else {
            ProgressBar::hidden()
        };
        let read = inputs.iter().map(|i| Arc::clone(&i.read)).collect();
        let following = memory.map(|memory| Following { memory, stands: None, written: None });
        let rehearsal = Rehearsed::default();
        Self { out, bar, read, started: Instant::now(), rejected: 0, rehearsal, following }
    }

    fn remark(&self, text: &str) {
        self.bar.suspend(|| self.out.remark(text));
    }

    /// How far a file was followed, in words.
    pub(super) fn stands(&self) -> String {
        match self.following.as_ref().and_then(|following| following.stands.as_ref()) {
            Some(stands) => {
                format!("followed up to byte {} (line {})", grouped(stands.bytes), grouped(stands.lines + 1))
            }
            None => "nothing new was read".to_owned(),
        }
    }

    pub(super) fn finish(&mut self, rejects: &RejectsFile) {
        self.bar.finish_and_clear();
        if let Some(why) = self.following.as_mut().and_then(|following| following.remember(true)) {
            self.out.remark(format_args!("how far the file was followed is not remembered: {why}"));
        }
        if self.rejected > SHOWN {
            self.out.remark(format_args!("… and {} more", self.rejected - SHOWN));
        }
        for path in rejects.written() {
            let path = Safe::from_untrusted(&path.display().to_string());
            self.out.remark(format_args!("what was not stored is in {path}"));
        }
    }
}

impl Observer for Watcher {
    fn recognised(&mut self, source: &str, format: SourceFormat) {
        let more = if self.read.len() > 1 { " (and others)" } else { "" };
        self.remark(&format!("{}{more}: recognised as {format}", Safe::from_untrusted(source)));
    }

    fn rejected(&mut self, record: &RejectedRecord<'_>) {
        self.rejected += 1;
        if self.rejected <= SHOWN {
            let fate = if record.conflict { "conflict" } else { "rejected" };
            let text = format!("{}:{}: {fate}: {}", record.source, record.place, record.reason);
            self.remark(Safe::from_untrusted(&text).as_str());
        }
        self.rehearsal.refused(record);
    }

    fn preview(&mut self, preview: &Preview) {
        self.rehearsal.previews.push(preview.clone());
    }

    fn note(&mut self, source: &str, text: &str) {
        self.remark(Safe::from_untrusted(&format!("{source}: {text}")).as_str());
    }

    fn reached(&mut self, standing: &Standing) {
        let Some(following) = &mut self.following else { return };
        following.stands = Some(standing.clone());
        // That it cannot be written down is said once, at the end.
        let _ = following.remember(false);
    }

    fn acknowledged(&mut self, records: u64) -> io::Result<()> {
        let mut to = self.out.results();
        writeln!(to, "ack {records}")?;
        to.flush()
    }

    fn progress(&mut self, report: &Report) {
        self.bar.set_position(self.read.iter().map(|n| n.load(Ordering::Relaxed)).sum());
        let rate = report.read as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let stands = match &self.following {
            Some(_) => format!(", {}", self.stands()),
            None => String::new(),
        };
        self.bar.set_message(format!("{} events, {rate:.0}/s{stands}", report.read));
    }
}
