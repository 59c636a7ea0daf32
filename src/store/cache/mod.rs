//! Answers that are expensive and hold for a while: exact counts, sums, the closed buckets of a histogram. They are
//! kept for [`LIFE`] in the process, and on a Redis server where one is configured, so that analysts and scripts share
//! them. Rows, events and anything about integrity are never answered from here.
//!
//! An answer is found under its whole question: database, role, columns of the table, organisation, canonical filter,
//! absolute bounds, and what is asked for. It carries the time at which it was worked out, and is shown with its age.
//! What a shared server returns is believed only if it is whole, was written for this very question, and is young
//! enough; else it counts as absent. A shared server that does not answer is left alone for a while: it never makes a
//! query fail, and delays it by 250 ms (`PATIENCE`) at most.

mod memory;
#[cfg(feature = "redis")]
mod redis;

use super::{ReadDb, StoreError};
use crate::chain::sha256;
use crate::domain::Timestamp;
use crate::store::query::Query;
use chrono::Utc;
use futures_util::future::BoxFuture;
use memory::Memory;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long an answer holds.
pub const LIFE: Duration = Duration::from_secs(300);
/// How long a shared server may take.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long one that failed is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(30);
/// Clocks of two machines differ by no more than this; an answer from further ahead is not one of ours.
const SKEW_MICROS: i64 = 60_000_000;
/// Longer answers are not worth keeping, in bytes.
const MAX_LENGTH: usize = 1 << 20;
/// Changes whenever answers of earlier versions must not be read any more.
const FORMAT: u32 = 1;

/// Whether an answer that was given a short time ago will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Yes, if it is no older than [`LIFE`].
    Recent,
    /// No: it is worked out anew, and takes the place of the one that is kept.
    Now,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// What it says.
    pub value: T,
    /// When it was worked out, if that was earlier; of several parts the oldest.
    pub since: Option<Timestamp>,
    /// Why answers are not shared, although they should be: said once.
    pub trouble: Option<String>,
}

/// Where answers are kept.
trait Shelf: fmt::Debug + Send + Sync {
    /// What is kept under a name.
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>>;
    /// Keeps a text for as long as [`LIFE`], in the place of what is there.
    fn put<'a>(&'a self, name: &'a str, text: String) -> BoxFuture<'a, Result<(), String>>;
}

/// Kept answers. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    shelves: Arc<Shelves>,
}

#[derive(Debug, Default)]
struct Shelves {
    own: Memory,
    shared: Option<Box<dyn Shelf>>,
    state: Mutex<State>,
}

/// What is known of the shared server.
#[derive(Debug, Default)]
struct State {
    failed: Option<Instant>,
    /// To be said once.
    trouble: Option<String>,
    said: bool,
}

/// As it is kept.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    question: String,
    micros: i64,
    answer: T,
}

impl Cache {
    /// Answers that are shared over a Redis server: `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]`, or
    /// `redis+unix:///PATH`. Nothing is connected to yet.
    ///
    /// # Errors
    /// In words, without the URL, when it is none, or when this program was built without the feature `redis`.
    #[cfg(feature = "redis")]
    pub fn shared(url: &str) -> Result<Self, String> {
        let shared: Option<Box<dyn Shelf>> = Some(Box::new(redis::Redis::new(url)?));
        Ok(Self { shelves: Arc::new(Shelves { shared, ..Shelves::default() }) })
    }

    /// Answers that would be shared, had this program been built with the feature `redis`: a configuration may be shared
    /// by programs with and without it.
    ///
    /// # Errors
    /// None.
    #[cfg(not(feature = "redis"))]
    pub fn shared(_url: &str) -> Result<Self, String> {
        let trouble = Some("this program was built without the cargo feature redis".to_owned());
        let state = Mutex::new(State { trouble, ..State::default() });
        Ok(Self { shelves: Arc::new(Shelves { state, ..Shelves::default() }) })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shelves.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shared server, unless it has failed a short time ago.
    fn shared_shelf(&self) -> Option<&dyn Shelf> {
        let shared = self.shelves.shared.as_deref()?;
        let failed = self.state().failed;
        failed.is_none_or(|at| at.elapsed() >= LEFT_ALONE).then_some(shared)
    }

    /// The result of a shared server; a failure is noted.
    async fn ask<T>(&self, request: impl Future<Output = Result<T, String>>) -> Option<T> {
        let result = timeout(PATIENCE, request).await;
        let reason = match result {
            Ok(Ok(value)) => {
                self.state().failed = None;
                return Some(value);
            }
            Ok(Err(reason)) => reason,
            Err(_) => format!("no answer within {} ms", PATIENCE.as_millis()),
        };
        tracing::warn!(reason, "the shared cache");
        let mut state = self.state();
        state.failed = Some(Instant::now());
        if !state.said {
            state.said = true;
            state.trouble = Some(reason);
        }
        None
    }

    async fn get(&self, name: &str) -> Option<String> {
        if let Some(shared) = self.shared_shelf()
            && let Some(found) = self.ask(shared.get(name)).await
        {
            return found;
        }
        self.shelves.own.take(name)
    }

    async fn put(&self, name: &str, text: String) {
        if text.len() > MAX_LENGTH {
            return;
        }
        if let Some(shared) = self.shared_shelf() {
            self.ask(shared.put(name, text.clone())).await;
        }
        self.shelves.own.keep(name, text);
    }
}

/// The answers to the parts of one request.
#[derive(Debug)]
pub(super) struct Memo {
    cache: Cache,
    wanted: Freshness,
    identity: String,
    oldest: Mutex<Option<Timestamp>>,
}

impl Memo {
    /// # Errors
    /// As [`ReadDb::capabilities`].
    pub(super) async fn open(
        db: &ReadDb,
        wanted: Freshness,
        cancel: &CancellationToken,
    ) -> Result<Self, StoreError> {
        let identity = db.capabilities(cancel).await?.identity.clone();
        Ok(Self { cache: db.settings().cache.clone(), wanted, identity, oldest: Mutex::default() })
    }

    /// What is kept as the answer to `what` about `query`, else what `work` finds out. An answer that is not `plausible`
    /// is not believed.
    ///
    /// # Errors
    /// Those of `work`.
    pub(super) async fn answer<T, E>(
        &self,
        what: &str,
        query: &Query,
        plausible: impl Fn(&T) -> bool,
        work: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
    {
        let Some(question) = self.question(what, query) else { return work().await };
        let name = name_of(&question);
        if self.wanted == Freshness::Recent
            && let Some(text) = self.cache.get(&name).await
            && let Some((answer, at)) = read(&text, &question, Timestamp::from(Utc::now()))
            && plausible(&answer)
        {
            let mut oldest = self.oldest.lock().unwrap_or_else(PoisonError::into_inner);
            *oldest = Some(oldest.map_or(at, |oldest| oldest.min(at)));
            return Ok(answer);
        }
        // As of its beginning: that is the state of the table that the statement sees.
        let micros = Timestamp::from(Utc::now()).as_micros();
        let kept = Kept { question, micros, answer: work().await? };
        if let Ok(text) = serde_json::to_string(&kept) {
            self.cache.put(&name, text).await;
        }
        Ok(kept.answer)
    }

    /// The answer as a whole.
    pub(super) fn done<T>(self, value: T) -> Answer<T> {
        let since = self.oldest.into_inner().unwrap_or_else(PoisonError::into_inner);
        Answer { value, since, trouble: self.cache.state().trouble.take() }
    }

    /// The question in full; `None` when its answer depends on more than the database.
    fn question(&self, what: &str, query: &Query) -> Option<String> {
        if query.filter.asks_this_machine() {
            return None;
        }
        let bound = |time: Option<Timestamp>| time.map(Timestamp::as_micros);
        let whole = (
            FORMAT,
            &self.identity,
            what,
            query.scope.organization().as_str(),
            query.filter.canonical(),
            bound(query.range.since),
            bound(query.range.until),
        );
        serde_json::to_string(&whole).ok()
    }
}

fn name_of(question: &str) -> String {
    format!("agenttrace:answer:{}", sha256(question))
}

/// A kept answer and its time, if it is whole, answers this question, and is young enough.
fn read<T: DeserializeOwned>(text: &str, question: &str, now: Timestamp) -> Option<(T, Timestamp)> {
    let kept: Kept<T> = serde_json::from_str(text).ok()?;
    let age = now.as_micros().checked_sub(kept.micros)?;
    let young = (-SKEW_MICROS..LIFE.as_micros() as i64).contains(&age);
    (kept.question == question && young).then(|| (kept.answer, Timestamp::from_micros(kept.micros)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(question: &str, seconds_ago: i64) -> String {
        let micros = 1_000_000_000_000 - seconds_ago * 1_000_000;
        serde_json::to_string(&Kept { question: question.to_owned(), micros, answer: 7_u64 }).unwrap()
    }

    fn believed(text: &str) -> Option<(u64, Timestamp)> {
        read(text, "q", Timestamp::from_micros(1_000_000_000_000))
    }

    #[test]
    fn only_a_whole_young_answer_to_the_same_question_is_believed() {
        assert_eq!(believed(&kept("q", 42)), Some((7, Timestamp::from_micros(999_958_000_000))));
        // A clock that is a little ahead.
        assert!(believed(&kept("q", -5)).is_some());
        for foreign in [kept("other", 42), kept("q", 300), kept("q", -120)] {
            assert_eq!(believed(&foreign), None, "{foreign}");
        }
        let whole = kept("q", 42);
        for length in 0..whole.len() {
            assert_eq!(believed(&whole[..length]), None);
        }
        for poison in [
            r#"{"question":"q","micros":999958000000,"answer":-7}"#,
            r#"{"question":"q","micros":999958000000,"answer":"7"}"#,
            r#"{"question":"q","micros":-9223372036854775808,"answer":7}"#,
            "null",
            "\u{0}",
        ] {
            assert_eq!(believed(poison), None, "{poison}");
        }
    }

    /// Fails whenever it is asked.
    #[derive(Debug)]
    struct Broken;

    impl Shelf for Broken {
        fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
            Box::pin(async { Err("gone".to_owned()) })
        }

        fn put<'a>(&'a self, _: &'a str, _: String) -> BoxFuture<'a, Result<(), String>> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test]
    async fn a_shared_server_that_fails_is_replaced_by_our_own_memory_and_named_once() {
        let shared: Option<Box<dyn Shelf>> = Some(Box::new(Broken));
        let cache = Cache { shelves: Arc::new(Shelves { shared, ..Shelves::default() }) };
        cache.put("a", "1".to_owned()).await;
        assert_eq!(cache.get("a").await.as_deref(), Some("1"));
        assert!(cache.state().trouble.take().is_some_and(|why| why.contains("250 ms")));
        cache.state().failed = None;
        assert_eq!(cache.get("b").await, None);
        assert_eq!(cache.state().trouble, None, "said once");
    }
}
