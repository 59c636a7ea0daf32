//! The thread that writes the spool: what waits in the queue goes to disk together, with one fsync.

use super::{AppendError, Common, Job, refused};
use crate::case::record::spool::{Appender, Refusal};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Events that go to disk together, at most; a call that has more goes by itself.
const TOGETHER: usize = 4096;

/// Starts it. It ends when the queue is closed and empty.
pub(super) fn start(
    appender: Appender,
    jobs: mpsc::Receiver<Job>,
    patience: Duration,
    common: Arc<Common>,
    wake: watch::Sender<()>,
) -> io::Result<()> {
    let mut spooler = Spooler { appender, jobs, patience, common };
    let run = move || {
        while spooler.turn() {
            wake.send_replace(());
        }
        // The spool is free before anybody learns that nothing more will come.
        drop(spooler);
        drop(wake);
    };
    std::thread::Builder::new().name("audit-spool".into()).spawn(run).map(drop)
}

struct Spooler {
    appender: Appender,
    jobs: mpsc::Receiver<Job>,
    patience: Duration,
    common: Arc<Common>,
}

impl Spooler {
    /// Takes what waits; false at the end.
    fn turn(&mut self) -> bool {
        let Some(first) = self.jobs.blocking_recv() else { return false };
        let mut count = first.events.len();
        let mut group = vec![first];
        while count < TOGETHER
            && let Ok(job) = self.jobs.try_recv()
        {
            count += job.events.len();
            group.push(job);
        }
        self.take(group);
        true
    }

    fn take(&mut self, group: Vec<Job>) {
        let events: Vec<_> = group.iter().flat_map(|job| &job.events).collect();
        let count = events.len() as u64;
        match self.appender.append(&events, self.patience) {
            Ok(()) => {
                self.common.counters().acknowledged += count;
                for job in group {
                    answer(job, Ok(()));
                }
            }
            // Perhaps one of them alone is.
            Err(Refusal::TooLarge { .. }) if group.len() > 1 => {
                for job in group {
                    self.take(vec![job]);
                }
            }
            Err(refusal) => {
                let mut counters = self.common.counters();
                counters.refused += count;
                let error = refused(refusal, counters.trouble.clone());
                for job in group {
                    answer(job, Err(error.clone()));
                }
            }
        }
    }
}

fn answer(job: Job, answer: Result<(), AppendError>) {
    // Nobody need wait for it.
    let _ = job.reply.send(answer);
}
