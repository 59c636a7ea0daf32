//! The stream of bytes of a file that grows.

use super::older::{self, Older, Opened, identity};
use super::standing::{Beginning, KNOWN_BY, Standing};
use super::{Followed, Segment};
use crate::ingest::input::Source;
use crate::ingest::message::Message;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How often it is looked whether a file has grown.
const LOOK: Duration = Duration::from_millis(200);

/// How long a file is still read to its end after it was renamed: its writer goes on until it opens the new one.
const GRACE: Duration = Duration::from_millis(1000);

/// A file that grows: waits at its end, until nobody listens any more.
pub(in crate::ingest) struct Tail {
    path: PathBuf,
    before: Option<Standing>,
    followed: Arc<Followed>,
    /// Bytes of the file that were read, for a progress bar.
    read: Arc<AtomicU64>,
    /// What is said, and whether anybody listens.
    talk: Option<(mpsc::Sender<Message>, Arc<Source>)>,
    /// Rotated files to be read before the file itself.
    queue: VecDeque<Older>,
    open: Option<Open>,
    /// Bytes, and line breaks, that were given.
    given: u64,
    breaks: u64,
    /// The last byte that was given ended a line.
    at_break: bool,
    has_begun: bool,
    has_caught_up: bool,
}

/// The file that is read.
enum Open {
    Older(Opened),
    Live(Live),
}

/// The file itself.
struct Live {
    file: File,
    position: u64,
    beginning: Arc<Mutex<Beginning>>,
    /// It was read to its end, and may be another one by now.
    has_waited: bool,
    /// Since when another file has its name.
    renamed: Option<Instant>,
}

/// What the end of the file is.
enum End {
    /// It may grow.
    Open,
    /// Another file has its name, and its writer has had time to change over.
    Rotated,
    /// It was emptied, and is written anew.
    Truncated,
}

impl Tail {
    pub(in crate::ingest) fn new(
        path: PathBuf,
        before: Option<Standing>,
        followed: Arc<Followed>,
        read: Arc<AtomicU64>,
    ) -> Self {
        Self {
            path,
            before: before.filter(|before| before.bytes > 0),
            followed,
            read,
            talk: None,
            queue: VecDeque::new(),
            open: None,
            given: 0,
            breaks: 0,
            at_break: true,
            has_begun: false,
            has_caught_up: false,
        }
    }

    /// Says there what happens, and ends when nobody listens there any more.
    pub(in crate::ingest) fn talking_to(mut self, out: mpsc::Sender<Message>, source: Arc<Source>) -> Self {
        self.talk = Some((out, source));
        self
    }

    fn is_over(&self) -> bool {
        self.talk.as_ref().is_some_and(|(out, _)| out.is_closed())
    }

    fn say(&self, text: String) {
        if let Some((out, source)) = &self.talk {
            // Who does not listen need not know.
            let _ = out.blocking_send(Message::Note { source: Arc::clone(source), text });
        }
    }

    /// Opens what is read next; false where that is not there yet.
    fn open_next(&mut self) -> io::Result<bool> {
        let mut at = (0, 0);
        if !std::mem::replace(&mut self.has_begun, true)
            && let Some(before) = self.before.take()
        {
            at = self.resume(&before);
        }
        while let Some(older) = self.queue.pop_front() {
            match older.open() {
                Ok(opened) => {
                    self.say(format!("reading the rest of {}", older.path.display()));
                    let beginning = Arc::new(Mutex::new(opened.beginning.clone()));
                    self.begin(older.bytes, older.lines, beginning);
                    self.open = Some(Open::Older(opened));
                    return Ok(true);
                }
                Err(e) => self.say(format!(
                    "{} cannot be read, and its records are missing: {e}",
                    older.path.display()
                )),
            }
        }
        let mut file = match File::open(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        let (position, lines) = at;
        file.seek(SeekFrom::Start(position))?;
        let beginning = Arc::new(Mutex::new(Beginning::new()));
        self.begin(position, lines, Arc::clone(&beginning));
        let mut live = Live { file, position, beginning, has_waited: false, renamed: None };
        live.learn()?;
        self.open = Some(Open::Live(live));
        Ok(true)
    }

    /// Finds what was read before: bytes and line breaks of the file itself, or else files that it was rotated to.
    fn resume(&mut self, before: &Standing) -> (u64, u64) {
        let live = Older::at(&self.path, before.bytes);
        if live.open().is_ok_and(|opened| before.is_of(&opened.beginning)) {
            self.say(format!("going on behind byte {}", before.bytes));
            return (before.bytes, before.lines);
        }
        self.queue = older::since(&self.path, before).into();
        self.say(if self.queue.is_empty() {
            format!(
                "is another file than the one that was followed up to byte {}, and no file beside it is that one: \
                 records behind that byte may be missing",
                before.bytes
            )
        } else {
            "was rotated since it was followed".to_owned()
        });
        (0, 0)
    }

    fn begin(&mut self, offset: u64, lines: u64, beginning: Arc<Mutex<Beginning>>) {
        let (from, breaks) = (self.given, self.breaks);
        self.followed.begin(Segment { from, breaks, offset, lines, beginning });
    }

    /// Ends the file that is read. A last line without an end is one: nothing follows it.
    fn close(&mut self, out: &mut [u8]) -> usize {
        self.open = None;
        match out.first_mut() {
            Some(byte) if !self.at_break => {
                *byte = b'\n';
                self.give(b"\n");
                1
            }
            _ => 0,
        }
    }

    fn give(&mut self, bytes: &[u8]) {
        self.given += bytes.len() as u64;
        self.breaks += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.at_break = bytes.last().is_none_or(|byte| *byte == b'\n');
        self.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }

    /// What is done at the end of the file itself: a byte, where its last line had no end.
    fn at_end(&mut self, live: Live, out: &mut [u8]) -> io::Result<usize> {
        let mut live = live;
        match live.end(&self.path)? {
            End::Open => {
                if !std::mem::replace(&mut self.has_caught_up, true) {
                    self.say(format!(
                        "read to its end (byte {}): waiting for more, Ctrl-C stops",
                        live.position
                    ));
                }
                live.has_waited = true;
                self.open = Some(Open::Live(live));
                rest();
                Ok(0)
            }
            End::Rotated => {
                self.say(format!(
                    "was rotated: reading on in the new file (byte {} was the last)",
                    live.position
                ));
                let standing = live.standing(0);
                self.queue = older::after(&self.path, &live.file.metadata()?, &standing).into();
                Ok(self.close(out))
            }
            End::Truncated => {
                let standing = live.standing(self.followed.breaks_before(self.breaks));
                self.queue = older::since(&self.path, &standing).into();
                let copy = if self.queue.is_empty() {
                    "; no copy of it is beside it, so records that were written meanwhile may be missing"
                } else {
                    ""
                };
                self.say(format!(
                    "was truncated: reading it anew (byte {} was the last){copy}",
                    live.position
                ));
                // A line of which a part was read goes on in the copy.
                Ok(if self.queue.is_empty() { self.close(out) } else { 0 })
            }
        }
    }
}

impl Read for Tail {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.is_over() {
            let n = match self.open.take() {
                None => {
                    if !self.open_next()? {
                        rest();
                    }
                    0
                }
                Some(Open::Older(mut opened)) => match opened.rest.read(out) {
                    Ok(0) => self.close(out),
                    Ok(n) => {
                        self.open = Some(Open::Older(opened));
                        self.give(&out[..n]);
                        n
                    }
                    Err(e) => {
                        self.say(format!(
                            "the rest of an older file cannot be read, and its records are missing: {e}"
                        ));
                        self.close(out)
                    }
                },
                Some(Open::Live(mut live)) => {
                    let n = if live.is_another()? { 0 } else { live.read(out)? };
                    if n > 0 {
                        self.open = Some(Open::Live(live));
                        self.give(&out[..n]);
                        n
                    } else {
                        self.at_end(live, out)?
                    }
                }
            };
            if n > 0 {
                return Ok(n);
            }
        }
        Ok(0)
    }
}

impl Live {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(out)?;
        self.position += n as u64;
        if n > 0 {
            self.has_waited = false;
            self.learn()?;
        }
        Ok(n)
    }

    /// Reads the beginning, as far as it is not known yet.
    fn learn(&mut self) -> io::Result<()> {
        let mut known = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        while known.len() < KNOWN_BY {
            let mut more = vec![0; KNOWN_BY - known.len()];
            let n = self.file.read_at(&mut more, known.len() as u64)?;
            if n == 0 {
                break;
            }
            known.extend_from_slice(&more[..n]);
        }
        Ok(())
    }

    /// Whether it was written anew while it was waited for: shorter, or with another beginning.
    fn is_another(&self) -> io::Result<bool> {
        if !self.has_waited {
            return Ok(false);
        }
        if self.file.metadata()?.len() < self.position {
            return Ok(true);
        }
        let known = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = vec![0; known.len()];
        let same = self.file.read_exact_at(&mut now, 0).is_ok() && now == *known;
        Ok(!same)
    }

    fn end(&mut self, path: &std::path::Path) -> io::Result<End> {
        if self.is_another()? || self.file.metadata()?.len() < self.position {
            return Ok(End::Truncated);
        }
        let is_same = match fs::metadata(path) {
            Ok(about) => identity(&about) == identity(&self.file.metadata()?),
            // Between two names.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(End::Open),
            Err(e) => return Err(e),
        };
        if is_same {
            self.renamed = None;
            return Ok(End::Open);
        }
        let since = *self.renamed.get_or_insert_with(Instant::now);
        Ok(if since.elapsed() < GRACE { End::Open } else { End::Rotated })
    }

    /// Where it is read to, behind so many line breaks.
    fn standing(&self, lines: u64) -> Standing {
        let known = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        Standing::new(self.position, lines, &known)
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, which has nothing else to do")]
fn rest() {
    std::thread::sleep(LOOK);
}
