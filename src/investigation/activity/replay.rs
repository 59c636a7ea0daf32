//! Asking again what the activity log says was asked, and telling which answers are other ones now. Reads only; nothing of
//! it is remembered.

use super::answer::{self, Print};
pub use super::comparison::Outcome;
use super::comparison::{changed, compare, gone, grown, not_asked, said, same};
use crate::case::activity::{Answer, Entry, Part, Question, Step};
use crate::case::notebook::CaseFile;
use crate::case::{self, lists};
use crate::chain::Scheme;
use crate::domain::{EventKey, Joiners, OrgId, OrgScope, TimeRange, Timestamp, grouped};
use crate::error::{Error, Result};
use crate::export::{FileFormat, Record, Style};
use crate::filter::Filter;
use crate::investigation::export_file::{self, Job};
use crate::investigation::lineage::{self, Term};
use crate::investigation::{Records, aggregate, casework};
use crate::store::ReadDb;
use crate::store::aggregate::summary::By;
use crate::store::cache::Freshness;
use crate::store::history::{self, Resource};
use crate::store::listing::timeline;
use crate::store::query::{Pace, Query, Seek};
use crate::verify::writing::Memory;
use crate::verify::{self, Gauge};
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Rows that are read at once.
const PAGE: usize = 500;
/// Rows that are read beyond those that were seen, at most: within the stretch, and newer than it.
const MORE: usize = 10_000;
/// Asks again, entry by entry.
#[derive(Debug)]
pub struct Replay<'a> {
    db: &'a ReadDb,
    place: &'a str,
    records: Records,
    writings: Memory,
    cancel: &'a CancellationToken,
    /// Verifications, which are long, are done once for all steps that ask for the same.
    verified: HashMap<String, Answer>,
}

impl<'a> Replay<'a> {
    /// On the database of this place.
    pub fn new(db: &'a ReadDb, place: &'a str, cancel: &'a CancellationToken) -> Self {
        let records = Records::load(place);
        Self { db, place, records, writings: Memory::default(), cancel, verified: HashMap::new() }
    }

    /// Asks one again and compares.
    ///
    /// # Errors
    /// When the database cannot be read, or when it was stopped. That one statement takes too long, or that a filter cannot
    /// be used any more, concerns that entry alone.
    pub async fn ask(&mut self, entry: &Entry) -> Result<Outcome> {
        if entry.place != self.place {
            return Ok(not_asked(format!("it was asked of the database at {}", entry.place)));
        }
        let Some(then) = &entry.answer else {
            return Ok(match entry.step {
                Step::Unknown => not_asked("a later version of agenttrace has recorded it"),
                _ => Outcome::NoQuestion,
            });
        };
        let organization = OrgId::new(entry.organization_id.clone());
        let scope = OrgScope::enter(organization.map_err(|e| Error::could_not_run(e.to_string()))?);
        match self.again(&scope, entry, then).await {
            Ok(outcome) => Ok(outcome),
            Err(error) if self.cancel.is_cancelled() => Err(error),
            Err(error) => {
                // A connection that is gone is gone for all of them.
                self.db.facts().await?;
                Ok(not_asked(error.to_string()))
            }
        }
    }

    async fn again(&mut self, scope: &OrgScope, entry: &Entry, then: &Answer) -> Result<Outcome> {
        let (db, cancel) = (self.db, self.cancel);
        match &entry.step {
            Step::Listing { question, states } => {
                let query = match self.query(scope, question).await? {
                    Ok(query) => query,
                    Err(why) => return Ok(not_asked(why)),
                };
                self.listing(&query, *states, then).await
            }
            Step::Event { event_id } => {
                let event = timeline::event(db, scope, event_id, None, cancel).await?;
                Ok(match event {
                    None => changed(vec![gone(event_id)]),
                    Some(event) => same(then, &answer::of_event(&event), || {
                        vec![format!("{event_id} is another one now")]
                    }),
                })
            }
            Step::EventVerification { event_id } => {
                let memory = self.records.memory(scope.organization().as_str());
                let source = verify::SchemeSource::Remembered(&memory);
                let report = verify::verify_event(db, scope, event_id, source, cancel).await?;
                Ok(match report {
                    None => changed(vec![gone(event_id)]),
                    Some(report) => {
                        let now = answer::of_verification(&report);
                        same(then, &now, || said(then, &now))
                    }
                })
            }
            Step::Resource { resource_type, resource_id, limit } => {
                let resource = Resource { kind: resource_type.clone(), id: resource_id.clone() };
                self.resource(scope, &resource, *limit, then).await
            }
            Step::Access { resource_type, resource_id } => {
                let resource = Resource { kind: resource_type.clone(), id: resource_id.clone() };
                let now = answer::of_access(
                    &history::access(db, scope, &resource, TimeRange::default(), cancel).await?,
                );
                Ok(grown(then, &now, "it is about all time"))
            }
            Step::Verification { since, until, links_only, deep, scheme } => {
                let range = TimeRange { since: *since, until: *until };
                let now = self.verification(scope, range, (*links_only, *deep), scheme.as_deref()).await?;
                Ok(match now {
                    Err(why) => not_asked(why),
                    Ok(now) if now.events < then.events => {
                        let fewer = grouped(then.events - now.events);
                        changed(vec![format!("{fewer} events fewer"), said(then, &now).join(" ")])
                    }
                    Ok(now) if now.digest == then.digest => {
                        Outcome::Equal { newer: now.events - then.events }
                    }
                    Ok(now) => changed(said(then, &now)),
                })
            }
            Step::Summary { .. }
            | Step::Histogram { .. }
            | Step::Ghosts { .. }
            | Step::Lineage { .. }
            | Step::Export { .. } => self.made_of_all(scope, &entry.step, then).await,
            Step::Report { .. } | Step::TrailReport { .. } => {
                Ok(not_asked("a report holds the times of its making"))
            }
            Step::Case { .. } | Step::Acceptance { .. } | Step::Unknown => Ok(Outcome::NoQuestion),
        }
    }

    /// What is made of all events of a time.
    async fn made_of_all(&self, scope: &OrgScope, step: &Step, then: &Answer) -> Result<Outcome> {
        let (db, cancel) = (self.db, self.cancel);
        match step {
            Step::Summary { question, parts } => {
                let parts = parts.clone();
                let ask = async |query: &Query| summary(db, query, &parts, cancel).await;
                self.aggregate(scope, question, then, ask).await
            }
            Step::Histogram { question, buckets } => {
                let ask = async |query: &Query| {
                    let wanted = (Freshness::Now, true);
                    let found = aggregate::histogram(db, query, *buckets, wanted, cancel).await?;
                    Ok(answer::of_histogram(&found.value))
                };
                self.aggregate(scope, question, then, ask).await
            }
            Step::Ghosts { question } => {
                let ask = async |query: &Query| {
                    Ok(answer::of_ghosts(&verify::ghosts(db, query, &|_| {}, cancel).await?))
                };
                self.aggregate(scope, question, then, ask).await
            }
            Step::Lineage { actor_id, resource, since, until } => {
                let origin = match (actor_id, resource) {
                    (Some(id), _) => Term::Actor(id.clone()),
                    (None, Some((kind, id))) => {
                        Term::Resource(Resource { kind: kind.clone(), id: id.clone() })
                    }
                    (None, None) => return Ok(not_asked("it does not say of what")),
                };
                let question =
                    Question { filter: "all-time".to_owned(), since: *since, until: *until, case: None };
                let ask = async |query: &Query| {
                    let found = lineage::follow(db, scope, origin.clone(), query.range, cancel).await?;
                    Ok(answer::of_lineage(&found))
                };
                self.aggregate(scope, &question, then, ask).await
            }
            step => self.export(scope, step, then).await,
        }
    }

    async fn export(&self, scope: &OrgScope, step: &Step, then: &Answer) -> Result<Outcome> {
        let Step::Export { question, format, states_as_text, csv_raw, marks, joiners, first_line } = step
        else {
            return Ok(Outcome::NoQuestion);
        };
        if *first_line {
            return Ok(not_asked("the first line of its file holds the time of the export"));
        }
        let Some(format) = FileFormat::ALL.iter().copied().find(|known| known.name() == format) else {
            return Ok(not_asked(format!("this build does not write {format}")));
        };
        let style = Style { states_as_text: *states_as_text, csv_raw: *csv_raw, marks: *marks };
        let joiners = if *joiners { Joiners::Kept } else { Joiners::Escaped };
        let ask = async |query: &Query| {
            let job = Job {
                query: query.clone(),
                filter: String::new(),
                format,
                style,
                path: None,
                replace: false,
                first_line: false,
                joiners,
            };
            let outcome = export_file::digest(self.db, self.place, &job, self.cancel).await?;
            Ok(answer::of_document(outcome.events, &outcome.sha256))
        };
        self.aggregate(scope, question, then, ask).await
    }

    /// The query of a question, or why there is none.
    async fn query(
        &self,
        scope: &OrgScope,
        question: &Question,
    ) -> Result<std::result::Result<Query, String>> {
        let mut filter = match Filter::parse_with(&question.filter, &lists::read) {
            Ok(filter) => filter,
            Err(error) => return Ok(Err(format!("its filter cannot be read any more: {error}"))),
        };
        if filter.asks_the_session() {
            return Ok(Err("what integrity: means, only the console knew that asked".to_owned()));
        }
        if let Some(name) = &question.case {
            let file = CaseFile::named(&case::folder()?, name)?;
            let book = casework::open(self.db, self.place, scope, &file, self.cancel).await?;
            filter.supply(&book);
        }
        self.writings.tell(self.db, scope, &mut filter, self.cancel).await?;
        Ok(Ok(Query { scope: scope.clone(), filter, range: question.range() }))
    }

    /// A page: the same stretch of the listing again, and what is newer than it where nothing was.
    async fn listing(&self, query: &Query, states: bool, then: &Answer) -> Result<Outcome> {
        let Some(seen) = &then.seen else { return Ok(not_asked("it does not say what was seen")) };
        let key = |place: &Option<(Timestamp, String)>| {
            place.clone().map(|(timestamp, event_id)| EventKey { timestamp, event_id })
        };
        let (newest, oldest) = (key(&seen.newest), key(&seen.oldest));
        let most = then.events as usize + MORE;
        let from = newest.clone().map_or(Seek::Newest, Seek::AtOrOlderThan);
        let to = if seen.to_oldest { None } else { oldest };
        let (now, is_cut) = self.read(query, states, from, to.as_ref(), most).await?;
        let mut newer = 0;
        let mut within = now;
        match newest.filter(|_| seen.to_newest) {
            Some(newest) => {
                let page =
                    timeline::page(self.db, query, &Seek::NewerThan(newest), PAGE, self.cancel).await?;
                newer = page.rows.len() as u64;
            }
            // Nothing was there at all.
            None if then.events == 0 && seen.to_newest => {
                newer = within.len() as u64;
                within.clear();
            }
            None => {}
        }
        Ok(compare(then, &within, newer, is_cut.then_some(MORE)))
    }

    /// Rows from a place down to another, at most so many; true when there are more.
    async fn read(
        &self,
        query: &Query,
        states: bool,
        mut seek: Seek,
        to: Option<&EventKey>,
        most: usize,
    ) -> Result<(Vec<Print>, bool)> {
        let (db, cancel, pace) = (self.db, self.cancel, Pace::default());
        let mut found: Vec<Print> = Vec::new();
        loop {
            let (part, more): (Vec<Print>, bool) = if states {
                let page = timeline::page_with_states(db, query, &seek, PAGE, pace, cancel).await?;
                (page.rows.iter().map(|e| Print::of(Record::from(e))).collect(), page.has_older)
            } else {
                let page = timeline::page_at(db, query, &seek, PAGE, pace, cancel).await?;
                (page.rows.iter().map(|row| Print::of(Record::from(row))).collect(), page.has_older)
            };
            let Some(last) = part.last().map(|print| print.key.clone()) else { return Ok((found, false)) };
            let is_inside = |print: &Print| to.is_none_or(|to| print.key >= *to);
            let at_end = !more || to.is_some_and(|to| last <= *to);
            found.extend(part.into_iter().filter(is_inside));
            if at_end || found.len() > most {
                return Ok((found, !at_end));
            }
            seek = Seek::OlderThan(last);
        }
    }

    async fn resource(
        &self,
        scope: &OrgScope,
        resource: &Resource,
        limit: u32,
        then: &Answer,
    ) -> Result<Outcome> {
        let (db, cancel) = (self.db, self.cancel);
        let Some((timestamp, event_id)) = then.seen.as_ref().and_then(|seen| seen.newest.clone()) else {
            return Ok(not_asked("it does not say what was seen"));
        };
        let newest = EventKey { timestamp, event_id };
        let events = history::events(db, scope, resource, Some(&newest), limit, cancel).await?;
        let now: Vec<Print> = events.iter().rev().map(|e| Print::of(Record::from(e))).collect();
        let filter = resource.filter().map_err(|e| Error::could_not_run(e.to_string()))?;
        let query = Query { scope: scope.clone(), filter, range: TimeRange::default() };
        let page = timeline::page(db, &query, &Seek::NewerThan(newest), PAGE, cancel).await?;
        Ok(compare(then, &now, page.rows.len() as u64, None))
    }

    async fn verification(
        &mut self,
        scope: &OrgScope,
        range: TimeRange,
        (links_only, deep): (bool, bool),
        scheme: Option<&str>,
    ) -> Result<std::result::Result<Answer, String>> {
        let organization = scope.organization().as_str();
        let asked = format!("{organization:?} {range:?} {links_only} {deep} {scheme:?}");
        if let Some(known) = self.verified.get(&asked) {
            return Ok(Ok(known.clone()));
        }
        let scheme = match scheme {
            None => None,
            Some(name) => match Scheme::ALL.iter().copied().find(|known| known.name() == name) {
                Some(scheme) => Some(scheme),
                None => return Ok(Err(format!("this build does not know the scheme {name}"))),
            },
        };
        let memory = self.records.memory(organization);
        let mut request = verify::Request::whole(scope.clone());
        (request.range, request.links_only, request.deep) = (range, links_only, deep);
        (request.scheme, request.memory) = (scheme, memory);
        let gauge = Arc::new(Gauge::new());
        let mut report = verify::verify(self.db, &request, &gauge, self.cancel).await?;
        self.records.apply(&mut report);
        let now = answer::of_report(&report);
        self.verified.insert(asked, now.clone());
        Ok(Ok(now))
    }

    /// Asks for what is made of all events of a time: as then; and, where that had no end, up to the newest event of then.
    async fn aggregate(
        &self,
        scope: &OrgScope,
        question: &Question,
        then: &Answer,
        ask: impl AsyncFn(&Query) -> Result<Answer>,
    ) -> Result<Outcome> {
        let query = match self.query(scope, question).await? {
            Ok(query) => query,
            Err(why) => return Ok(not_asked(why)),
        };
        let now = ask(&query).await?;
        if now.digest == then.digest {
            return Ok(Outcome::Equal { newer: 0 });
        }
        // Where the time had no end: what is newer than the newest event of then has come since.
        let newest = then.seen.as_ref().and_then(|seen| Some(seen.newest.as_ref()?.0.next()));
        if let Some(until) = newest.filter(|newest| question.until.is_none_or(|until| until > *newest)) {
            let range = TimeRange { until: Some(until), ..query.range };
            let until_then = ask(&Query { range, ..query }).await?;
            if until_then.digest == then.digest {
                return Ok(Outcome::Equal { newer: now.events.saturating_sub(until_then.events) });
            }
        }
        if question.until.is_none() && newest.is_none() && now.events > then.events {
            return Ok(grown(then, &now, "what was the newest event then is not known"));
        }
        let mut details = vec![if now.events == then.events {
            format!("as many events ({}), and another answer", grouped(now.events))
        } else {
            format!("{} events then, {} now", grouped(then.events), grouped(now.events))
        }];
        if question.case.is_some() {
            details.push("its filter asks the case, which may say something else now".to_owned());
        }
        Ok(changed(details))
    }
}

async fn summary(db: &ReadDb, query: &Query, parts: &[Part], cancel: &CancellationToken) -> Result<Answer> {
    let mut found = Vec::new();
    for part in parts {
        let by: Option<Vec<By>> = part.by.iter().map(|name| By::named(name)).collect();
        let by = by.ok_or_else(|| Error::could_not_run("this build does not know a column of it"))?;
        let wanted = (Freshness::Now, true);
        found.push(aggregate::totals(db, query, (&by, part.actors, part.limit), wanted, cancel).await?.value);
    }
    Ok(answer::of_summary(&found))
}
