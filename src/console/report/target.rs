//! Lines of a report that lead on: to the events that they count.

use crate::console::filter_bar::value_picker::spelled;
use crate::domain::{TimeRange, Timestamp};
use crate::export::report::Line;
use crate::filter::{Expr, Field, Filter, Match, Matcher};
use crate::store::aggregate::histogram::Histogram;
use crate::store::aggregate::summary::By;

/// A line of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What it says.
    pub(crate) line: Line,
    /// The events that it counts, where a filter can name them.
    pub(crate) target: Option<Target>,
}

/// Events that a line counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Those with a value.
    Value(Match),
    /// Those from an instant on, before another.
    Time(Timestamp, Timestamp),
}

impl Entry {
    /// Lines that lead nowhere.
    pub(crate) fn plain(lines: impl IntoIterator<Item = Line>) -> impl Iterator<Item = Self> {
        lines.into_iter().map(|line| Self { line, target: None })
    }
}

impl Target {
    /// The id or address that the events have in common, which may have a label.
    pub(crate) fn id(&self) -> Option<String> {
        let Self::Value(term) = self else { return None };
        match &term.any_of[..] {
            [Matcher::Equals(value)] => Some(value.clone()),
            [Matcher::Resource { id, .. }] => Some(id.clone()),
            [Matcher::Network(network)] => Some(network.to_string()),
            _ => None,
        }
    }

    /// The view narrowed to these events.
    pub(crate) fn within(&self, filter: &Filter) -> Filter {
        match self {
            Self::Value(term) => filter.with(Expr::Match(term.clone())),
            Self::Time(since, until) => filter.within(*since, *until),
        }
    }

    /// The view without them; `None` of a time, of which a filter has only one.
    pub(crate) fn without(&self, filter: &Filter) -> Option<Filter> {
        match self {
            Self::Value(term) => Some(filter.with(Expr::Match(term.clone()).not())),
            Self::Time(..) => None,
        }
    }

    /// The text of the filter that came of the one typed as `text`; times to the minute where they are whole ones, so that
    /// both are seen in a line of 80 columns.
    pub(crate) fn spelled(&self, text: &str, next: &Filter) -> String {
        let Self::Time(since, until) = self else { return spelled(text, next) };
        let short = |text: String, at: &Timestamp| {
            let minute = at.to_utc().map_or_else(String::new, |t| t.format("%Y-%m-%dT%H:%MZ").to_string());
            text.replacen(&at.to_rfc3339(), &minute, 1)
        };
        let canonical = next.canonical();
        let shortened = short(short(canonical.clone(), since), until);
        if Filter::parse(&shortened).as_ref() == Ok(next) { shortened } else { canonical }
    }

    /// A view of all events with the value, or of all events of the time.
    pub(crate) fn only(&self, filter: &Filter) -> Filter {
        match self {
            Self::Value(term) => filter.with_only(Expr::Match(term.clone())),
            Self::Time(since, until) => Filter::default().within(*since, *until),
        }
    }
}

/// The events of a group. `None` where no filter can name them: days, words of other people's tables, addresses that are
/// none.
pub(crate) fn value(by: By, key: Option<&str>) -> Option<Target> {
    let field = match by {
        By::Day => return None,
        By::Category => Field::EventCategory,
        By::Severity => Field::EventSeverity,
        By::Action => Field::Action,
        By::Type => Field::EventType,
        By::ActorType => Field::ActorType,
        By::Actor => Field::ActorId,
        By::Email => Field::ActorEmail,
        By::Resource => Field::Resource,
        By::ResourceType => Field::ResourceType,
        By::Ip => Field::ActorIp,
        By::Project => Field::ProjectId,
        By::Session => Field::SessionId,
        By::UserAgent => Field::ActorUserAgent,
    };
    let matcher = match (key, by) {
        (None, _) => Matcher::Absent,
        (Some(key), By::Resource) => {
            let (resource_type, id) = key.split_once('/').filter(|(kind, _)| !kind.is_empty())?;
            Matcher::Resource { resource_type: resource_type.to_owned(), id: id.to_owned(), prefix: false }
        }
        (Some(key), By::Ip) => Matcher::Network(key.parse().ok()?),
        (Some(key), _) => Matcher::Equals(key.to_owned()),
    };
    let known = key.is_none_or(|key| field.knows(key));
    let term = Match { field, any_of: vec![matcher] };
    // What the language cannot say, such as the absence of what is never null, leads nowhere.
    let text = Filter::of(vec![Expr::Match(term.clone())]).canonical();
    (known && Filter::parse(&text).is_ok()).then_some(Target::Value(term))
}

/// The time of each bucket, as far as it lies inside `range`.
pub(crate) fn times(histogram: &Histogram, range: TimeRange) -> impl Iterator<Item = Option<Target>> + '_ {
    let width = histogram.seconds.saturating_mul(1_000_000);
    histogram.buckets.iter().map(move |bucket| {
        let end = Timestamp::from_micros(bucket.start.as_micros().saturating_add(width));
        let since = range.since.map_or(bucket.start, |bound| bound.max(bucket.start));
        let until = range.until.map_or(end, |bound| bound.min(end));
        (bucket.events > 0 && since < until).then_some(Target::Time(since, until))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::aggregate::histogram::Bucket;

    fn said(by: By, key: Option<&str>) -> Option<String> {
        Some(value(by, key)?.within(&Filter::parse("since:-7d sev:info").unwrap()).canonical())
    }

    #[test]
    fn each_facet_leads_to_its_events() {
        let view = "since:-7d sev:info";
        let term = |text: &str| Some(format!("{view} {text}"));
        assert_eq!(said(By::Category, Some("admin")), term("cat:admin"));
        assert_eq!(said(By::Resource, Some("role_binding/a/b")), term("res:role_binding/a/b"));
        assert_eq!(said(By::Ip, Some("2001:db8::1")), term("ip:2001:db8::1"));
        assert_eq!(said(By::Session, None), term("sess:null"));
        assert_eq!(said(By::UserAgent, Some("curl/8 (x)")), term("ua:\"curl/8 (x)\""));
        // What no filter can say.
        assert_eq!(said(By::Category, Some("theirs")), None);
        assert_eq!(said(By::Ip, Some("not an address")), None);
        assert_eq!(said(By::Day, Some("2026-01-15")), None);
        for by in By::ALL.into_iter().filter(|by| *by != By::Day) {
            let key = match by {
                By::Severity => "info",
                By::Category => "admin",
                By::ActorType => "user",
                By::Action => "update",
                By::Ip => "192.0.2.1",
                _ => "a/b",
            };
            assert!(value(by, Some(key)).is_some(), "{by:?}");
        }
    }

    #[test]
    fn a_bucket_replaces_the_time_of_the_view_and_never_leaves_it() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let histogram = Histogram {
            seconds: 3_600,
            buckets: vec![
                Bucket { start: at("2026-01-15T09:00:00Z"), events: 3, warning: 1, critical: 0 },
                Bucket { start: at("2026-01-15T10:00:00Z"), events: 0, warning: 0, critical: 0 },
            ],
        };
        let range = TimeRange { since: Some(at("2026-01-15T09:30:00Z")), until: None };
        let found: Vec<_> = times(&histogram, range).collect();
        assert_eq!(found[1], None);
        let target = found[0].clone().unwrap();
        let view = Filter::parse("at:2026-01-15 zone:Europe/Berlin actor:eve").unwrap();
        assert_eq!(
            target.within(&view).canonical(),
            "since:2026-01-15T09:30:00.000000Z until:2026-01-15T10:00:00.000000Z zone:Europe/Berlin actor:eve"
        );
        assert_eq!(target.without(&view), None);
        let spelled = |target: &Target| target.spelled("at:2026-01-15", &target.only(&view));
        assert_eq!(spelled(&target), "since:2026-01-15T09:30Z until:2026-01-15T10:00Z");
        let odd = Target::Time(at("2026-01-15T09:30:00.5Z"), at("2026-01-15T09:30:01Z"));
        assert_eq!(spelled(&odd), "since:2026-01-15T09:30:00.500000Z until:2026-01-15T09:30:01.000000Z");
    }
}
