//! The case as work of the executor: reading and writing its file, and looking what has become of its events.

use crate::case;
use crate::case::notebook::{Book, CaseFile, Entry, Trail, Wish};
use crate::console::case::books::Opened;
use crate::console::core::failure::Failure;
use crate::console::core::tasks::tasks;
use crate::console::runtime::context::{Context, aside};
use crate::domain::{OrgId, OrgScope, Timestamp};
use crate::investigation::casework::{self, Fate};

tasks! {
    /// Read what the case of this name says about an organisation's events.
    Case: Open(OrgScope, String) -> Box<Opened>;
    /// Write what is said of events; what stands in the case then.
    CaseWriting: Write(Box<Writing>) -> Box<Opened>;
    /// Look what has become of events, by their ids.
    CaseFates: Look(OrgScope, Vec<Entry>) -> Vec<(String, Fate)>;
}

/// The tasks have no interim reports.
pub(crate) type Progress = std::convert::Infallible;

/// What is to be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Writing {
    /// Name of the case.
    pub(crate) case: String,
    /// Whose events it is about.
    pub(crate) organization: OrgId,
    /// Their trail, where the case has been read before: then cancelling comes too late.
    pub(crate) trail: Option<Trail>,
    /// What is wished.
    pub(crate) wishes: Vec<Wish>,
    /// When, by this machine's clock.
    pub(crate) at: Timestamp,
    /// By whom.
    pub(crate) by: String,
}

/// Runs a task.
pub(crate) async fn perform(
    task: Task,
    cx: &Context<'_>,
    _tell: &(dyn Fn(Progress) + Sync),
) -> Result<Output, Failure> {
    Ok(match task {
        Task::Open(scope, name) => {
            let organization = scope.organization().clone();
            let trail = casework::trail(cx.db, cx.place, &scope, cx.cancel).await?;
            let opened = aside(move || -> Result<Opened, Failure> {
                let book = Book::of(file(&name)?.load(), Some(&trail));
                Ok(Opened { organization, trail, book })
            });
            Output::Open(Box::new(opened.await??))
        }
        Task::Write(writing) => {
            let Writing { case, organization, trail, mut wishes, at, by } = *writing;
            let trail = match trail {
                Some(trail) => trail,
                None => {
                    let scope = OrgScope::enter(organization.clone());
                    casework::trail(cx.db, cx.place, &scope, cx.cancel).await?
                }
            };
            for wish in &mut wishes {
                wish.event_mut().trail = trail.clone();
            }
            let (case_name, said, about) = (case.clone(), wishes.clone(), organization.clone());
            let written = aside(move || -> Result<Opened, Failure> {
                let file = file(&case)?;
                file.write(&wishes, at, &by)?;
                let book = Book::of(file.load(), Some(&trail));
                Ok(Opened { organization, trail, book })
            });
            let written = written.await??;
            cx.activity.record_wishes(&about, &case_name, &said);
            Output::Write(Box::new(written))
        }
        Task::Look(scope, entries) => {
            let asked: Vec<&Entry> = entries.iter().collect();
            let fates = casework::fates(cx.db, &scope, &asked, cx.cancel).await?;
            let ids = entries.iter().map(|entry| entry.event.event_id.clone());
            Output::Look(ids.zip(fates).collect())
        }
    })
}

fn file(name: &str) -> Result<CaseFile, Failure> {
    Ok(CaseFile::named(&case::folder()?, name)?)
}
