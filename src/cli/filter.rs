//! What all commands that take a filter have in common.

use super::{Context, Global, Reader};
use crate::case::{self, lists, saved};
use crate::domain::{OrgScope, Safe, TimeRange, Timestamp};
use crate::error::{Error, Result};
use crate::filter::{Expr, Filter, FilterError, Question};
use crate::investigation::casework;
use crate::store::listing::bounds;
use crate::store::query::Query;
use crate::verify::writing::Memory;
use std::ffi::OsString;
use tokio_util::sync::CancellationToken;

/// What `--help` says about filters.
pub(super) const HELP: &str = "\
Filter: terms that must all hold; OR, NOT or -, and parentheses join them otherwise, such as
  actor:alice@acme.example sev>=warning -action:read since:-7d
  field:value   field:a,b (any of)   field:pre*   field~part   -field:value   field:null   field:*   field in @file
  word   \"a phrase\"   wor*   /regular expression/
  is:bookmarked   is:noted   tag:exfil (what stands in the case)
  new.role:admin   old.quota>100   any.**.owner:null   role:viewer->admin   changed:role   onlychanged:updated_at
Fields: actor (id or e-mail), actor_id, actor_type, email, ip (address or network), ua, cat, type, sev, action,
  res (TYPE/ID), resource_type, resource_id, resource_name, proj, req, sess, event_id, hash, previous_hash
Times: since: until: at: around:EVENT span:5m tod:22:00..06:00 dow:sat,sun zone:Europe/Berlin all-time, with
  2026-01-15, 2026-01-15T09:58:01Z, -7d, -24h@h, now, today, yesterday, monday.
  Without since: or all-time the last 90 days (or the configured window) before the newest event are looked at.
docs/reference/filter.md has the whole language.";

/// A filter on the command line.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct FilterArgs {
    /// Which events; the words are joined by blanks
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
    /// A filter saved by this name (agenttrace filters); FILTER narrows it further
    #[arg(long, value_name = "NAME")]
    pub saved: Option<String>,
    /// Events from this time on; the same as since: in the filter
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Events before this time; the same as until: in the filter
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
}

impl FilterArgs {
    /// The filter of the arguments and flags.
    ///
    /// # Errors
    /// Exit 2 with the place, when it cannot be read.
    pub fn read(&self, global: &Global) -> Result<Filter> {
        let typed = joined(&self.filter);
        let text = match &self.saved {
            Some(name) => narrowed(&saved::named(&case::folder()?.join(saved::FILE), name)?.filter, &typed),
            None => typed,
        };
        let usage =
            |flag: &str, text: &str, e: &FilterError| Error::usage(format!("{flag}{}", e.render(text)));
        let mut filter = Filter::parse_with(&text, &lists::read).map_err(|e| usage("", &text, &e))?;
        if let Some(text) = &self.since {
            filter.set_since(text).map_err(|e| usage("--since: ", text, &e))?;
        }
        if let Some(text) = &self.until {
            filter.set_until(text).map_err(|e| usage("--until: ", text, &e))?;
        }
        if global.all_time {
            filter.set_all_time();
        }
        Ok(filter)
    }

    /// The query, its bounds frozen now.
    ///
    /// # Errors
    /// As [`Self::read`] and [`freeze`].
    pub(super) async fn query(
        &self,
        context: &Context,
        reader: &Reader,
        scope: OrgScope,
        cancel: &CancellationToken,
    ) -> Result<Query> {
        let mut filter = self.read(&context.global)?;
        ask_the_case(context, reader, &scope, &mut filter, cancel).await?;
        Memory::default().tell(&reader.db, &scope, &mut filter, cancel).await?;
        let range = freeze(context, reader, &scope, &filter, cancel).await?;
        Ok(Query { scope, filter, range })
    }
}

/// The words of a filter as one text.
pub(super) fn joined(words: &[String]) -> String {
    words.iter().map(|word| word.trim()).collect::<Vec<_>>().join(" ")
}

/// A filter, and another one that must hold too.
fn narrowed(filter: &str, by: &str) -> String {
    let whole = format!("{filter} {by}");
    // An OR would otherwise take the other one for its last part. Times stand in no parentheses, and in no OR.
    let is_or =
        Filter::parse_with(filter, &lists::read).is_ok_and(|f| matches!(f.conditions(), [Expr::Or(_)]));
    let in_parentheses = format!("({filter}) {by}");
    if !by.is_empty() && is_or && Filter::parse_with(&in_parentheses, &lists::read).is_ok() {
        in_parentheses
    } else {
        whole
    }
}

/// Tells a filter what it wants to know of the case.
///
/// # Errors
/// Exit 3 when the case cannot be used, or the database cannot be asked.
pub(super) async fn ask_the_case(
    context: &Context,
    reader: &Reader,
    scope: &OrgScope,
    filter: &mut Filter,
    cancel: &CancellationToken,
) -> Result<()> {
    if !filter.asks_the_case() {
        return Ok(());
    }
    let file = context.case_file()?;
    let book = casework::open(&reader.db, &reader.place, scope, &file, cancel).await?;
    for remark in &book.remarks {
        context.out.remark(format_args!("case {}: {}", file.name, Safe::from_untrusted(remark)));
    }
    if let Some(why) = &book.refused {
        return Err(Error::could_not_run(format!("the case '{}' is not used: {why}", file.name)));
    }
    filter.supply(&book);
    let others = if book.others > 0 { ", only about those of other trails" } else { "" };
    let in_vain = filter.asks_in_vain();
    if book.is_empty() || in_vain.is_some() {
        let held = if book.is_empty() { None } else { in_vain.map(Question::absence) };
        let held = held.map_or_else(
            || "nothing is said about events of this trail".to_owned(),
            |absence| format!("{} about events of this trail", Safe::from_untrusted(&absence)),
        );
        // An empty answer would look as if the table had been searched.
        let matches = in_vain.map_or_else(String::new, |question| {
            format!(": {} matches nothing", Safe::from_untrusted(&question.to_string()))
        });
        context.out.remark(format_args!("case {}: {held}{others}{matches}", file.name));
    }
    Ok(())
}

/// The absolute bounds of the filter now. A default window is named on stderr.
///
/// # Errors
/// Exit 2 when the filter allows none, exit 3 when the database cannot be asked.
pub(super) async fn freeze(
    context: &Context,
    reader: &Reader,
    scope: &OrgScope,
    filter: &Filter,
    cancel: &CancellationToken,
) -> Result<TimeRange> {
    let now = Timestamp::from(chrono::Utc::now());
    let window = reader.choice.window;
    let bounds = bounds::freeze(&reader.db, scope, filter, now, window.as_duration(), cancel).await?;
    let range = bounds.range;
    // Without an event there is no newest one to count from.
    if let (Some(since), Some(_), false) = (range.since, bounds.newest, filter.has_window()) {
        context.out.remark(format_args!(
            "window: events since {since}, {window} before the newest one; since: or all-time choose another"
        ));
    }
    Ok(range)
}

/// Puts a blank before a negated term such as `-action:read`, which would otherwise be read as a row of short options.
/// (clap's `allow_hyphen_values` is no help: it takes every option behind the first term for another term.)
pub(super) fn mark_negation(argument: OsString) -> OsString {
    let is_negation = argument.to_str().and_then(|a| a.strip_prefix('-')).is_some_and(|term| {
        let name = term.trim_start_matches(|c: char| c.is_alphanumeric() || "_.*[]".contains(c));
        let length = term.len() - name.len();
        term.starts_with(['(', '"', '/']) || length > 1 && name.starts_with([':', '=', '!', '<', '>', '~'])
    });
    if !is_negation {
        return argument;
    }
    let mut marked = OsString::from(" ");
    marked.push(argument);
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_filter_is_narrowed_as_a_whole() {
        assert_eq!(narrowed("sev:critical", "type:a"), "sev:critical type:a");
        assert_eq!(narrowed("type:a OR type:b", "sev:info"), "(type:a OR type:b) sev:info");
        assert_eq!(narrowed("type:a OR type:b", ""), "type:a OR type:b ");
        assert_eq!(
            narrowed("since:-7d (type:a OR type:b)", "sev:info"),
            "since:-7d (type:a OR type:b) sev:info"
        );
    }

    #[test]
    fn only_negated_terms_are_marked() {
        for term in [
            "-action:read",
            "-ip=::1",
            "-type!=x",
            "-new.roles:admin",
            "-any.**.x[0]:1",
            "-größe>1",
            "-(a OR b)",
            "-\"a phrase\"",
            "-/re/",
        ] {
            assert_eq!(mark_negation(term.into()), OsString::from(format!(" {term}")));
        }
        for other in ["-q", "-o=x", "-7d", "--org=x", "--", "-", "action:read", "-x y:z", "-abc"] {
            assert_eq!(mark_negation(other.into()), other);
        }
    }
}
