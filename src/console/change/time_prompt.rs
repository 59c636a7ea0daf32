//! The prompt for a time to go to.

use crate::config::Span;
use crate::console::core::keymap::Context;
use crate::console::dialogs::{Cursor, Dialog, Frame, Stage};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::prompt::Prompt;
use crate::console::widgets::text_input::Editor;
use crate::domain::{Safe, TimeRange, Timestamp};
use crate::filter::Filter;
use std::time::Duration;

/// The prompt while it is typed.
#[derive(Debug)]
pub(crate) struct TimePrompt {
    /// The line.
    pub(crate) prompt: Prompt,
    /// The IANA name of the zone of days and clock times that name none.
    zone: String,
    /// The time of the selected event, from which `1h later` counts.
    selected: Option<Timestamp>,
}

impl TimePrompt {
    /// An empty line for times of a zone, and times from that of the selected event on.
    pub(crate) fn new(zone: &str, selected: Option<Timestamp>) -> Self {
        let hint = format!("in {zone}: 2026-01-15T09:58, tuesday, -3h · 1h later, 1d earlier");
        Self { prompt: Prompt::new("T ", &hint), zone: zone.to_owned(), selected }
    }

    /// The time, in the language of filters; `None` when it is not one: the reason is shown.
    pub(crate) fn answered(&mut self, now: Timestamp, newest: Option<Timestamp>) -> Option<Asked> {
        let text = self.prompt.text().replace(['"', '\\'], "");
        if let Some(step) = self.stepped(&text) {
            return step.map_err(|why| self.prompt.refuse(Safe::composed(&why))).ok();
        }
        let range = |field: &str| {
            Filter::parse(&format!("zone:{} {field}:\"{text}\"", self.zone))
                .map_err(|e| e.to_string())
                .and_then(|filter| filter.range(now, newest, Duration::ZERO).map_err(|e| e.to_string()))
        };
        // A day, an hour or a minute is an interval; what is none, such as `-3h`, is an instant only.
        match range("since") {
            Ok(TimeRange { since: Some(start), .. }) => {
                let end = range("at").ok().and_then(|range| range.until);
                Some(Asked { start, end: end.unwrap_or(start), step: None })
            }
            Ok(_) => None,
            Err(why) => {
                self.prompt.refuse(Safe::composed(&why));
                None
            }
        }
    }

    /// `1h later`, `+1h`, `1d earlier`: so long from the selected event. `None` for another kind of time.
    fn stepped(&self, text: &str) -> Option<Result<Asked, String>> {
        let text = text.trim();
        let (length, step) = text
            .strip_suffix("later")
            .or_else(|| text.strip_prefix('+'))
            .map(|length| (length, Step::Later))
            .or_else(|| text.strip_suffix("earlier").map(|length| (length, Step::Earlier)))?;
        let Some(from) = self.selected else { return Some(Err("no event is selected".to_owned())) };
        Some(length.trim().parse::<Span>().map(|span| {
            let by = i64::try_from(span.as_duration().as_micros()).unwrap_or(i64::MAX);
            let by = if step == Step::Later { by } else { -by };
            let start = Timestamp::from_micros(from.as_micros().saturating_add(by));
            Asked { start, end: start, step: Some(step) }
        }))
    }
}

impl Dialog for TimePrompt {
    fn context(&self) -> Context {
        Context::Editor
    }

    fn editor_mut(&mut self) -> Option<&mut Editor> {
        Some(&mut self.prompt.editor)
    }

    fn frame(&self, stage: &Stage<'_>) -> Frame {
        Frame::around(" Go to a time ", 76, self.prompt.height(stage.inside(76)))
    }

    fn draw(&self, painter: &mut Painter<'_>, _stage: &Stage<'_>) -> Option<Cursor> {
        Some(self.prompt.paint(painter, 0))
    }
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Its first instant.
    pub(crate) start: Timestamp,
    /// The first one after it; the same where an instant was asked for.
    pub(crate) end: Timestamp,
    /// It was counted from the selected event.
    pub(crate) step: Option<Step>,
}

/// On which side of the selected event a time lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nearer to the present.
    Later,
    /// Nearer to the past.
    Earlier,
}

impl Asked {
    /// The last instant of it.
    pub(crate) fn last(self) -> Timestamp {
        if self.end > self.start {
            Timestamp::from_micros(self.end.as_micros().saturating_sub(1))
        } else {
            self.start
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_filter() {
        let now = Timestamp::parse("2026-01-15T12:00:00Z").unwrap();
        let at = |text: &str| {
            let mut line = TimePrompt::new("UTC", None);
            assert!(line.prompt.editor.paste(text));
            (line.answered(now, None).map(|asked| asked.start.to_rfc3339()), line.prompt.trouble.is_some())
        };
        let time = |text: &str| (Some(text.to_owned()), false);
        assert_eq!(at("2026-01-15T09:58Z"), time("2026-01-15T09:58:00.000000Z"));
        assert_eq!(at(" 2026-01-14 "), time("2026-01-14T00:00:00.000000Z"));
        assert_eq!(at("-3h"), time("2026-01-15T09:00:00.000000Z"));
        assert_eq!(at("soon\" OR x"), (None, true));
        assert_eq!(at(""), (None, true));
    }

    #[test]
    fn times_without_a_zone_are_of_the_zone_in_force() {
        let now = Timestamp::parse("2026-01-15T12:00:00Z").unwrap();
        let mut line = TimePrompt::new("Europe/Berlin", None);
        let mut at = |text: &str| {
            line.prompt.editor.set(text);
            line.answered(now, None).map(|asked| asked.start.to_rfc3339()).ok_or(())
        };
        assert_eq!(at("2026-01-14").unwrap(), "2026-01-13T23:00:00.000000Z");
        assert_eq!(at("2026-01-14T09:58Z").unwrap(), "2026-01-14T09:58:00.000000Z");
        assert_eq!(at("2026-01-14 09:58 Asia/Tokyo").unwrap(), "2026-01-14T00:58:00.000000Z");
        assert_eq!(at("-3h").unwrap(), "2026-01-15T09:00:00.000000Z");
        at("2026-10-25 02:30").unwrap_err();
        let why = line.prompt.trouble.clone().unwrap();
        assert!(why.as_str().contains("happens twice in Europe/Berlin: "), "{why}");
        // Over as many lines as it needs: the two that may be meant come last.
        assert!(why.width() > 74 && line.prompt.height(76) > 2, "{why}");
    }

    #[test]
    fn so_long_before_or_after_the_selected_event() {
        let now = Timestamp::parse("2026-01-15T12:00:00Z").unwrap();
        let at = |text: &str, selected: Option<&str>| {
            let mut line = TimePrompt::new("UTC", selected.and_then(|time| Timestamp::parse(time).ok()));
            assert!(line.prompt.editor.paste(text));
            let asked = line.answered(now, None).map(|asked| (asked.start.to_rfc3339(), asked.step));
            asked.ok_or_else(|| line.prompt.trouble.unwrap().as_str().to_owned())
        };
        let event = Some("2026-01-02T03:04:05Z");
        let time = |text: &str, step| Ok((text.to_owned(), Some(step)));
        assert_eq!(at("1h later", event), time("2026-01-02T04:04:05.000000Z", Step::Later));
        assert_eq!(at("+1m", event), time("2026-01-02T03:05:05.000000Z", Step::Later));
        assert_eq!(at(" 2d earlier ", event), time("2025-12-31T03:04:05.000000Z", Step::Earlier));
        assert!(at("a while later", event).unwrap_err().contains("is not a duration"));
        assert_eq!(at("1h later", None), Err("no event is selected".to_owned()));
        at("999999999999y later", event).unwrap_err();
    }

    #[test]
    fn a_day_is_all_of_it() {
        // A Thursday.
        let now = Timestamp::parse("2026-01-15T12:00:00Z").unwrap();
        let last = |text: &str| {
            let mut line = TimePrompt::new("UTC", None);
            assert!(line.prompt.editor.paste(text));
            line.answered(now, None).map(|asked| asked.last().to_rfc3339())
        };
        assert_eq!(last("tuesday").as_deref(), Some("2026-01-13T23:59:59.999999Z"));
        assert_eq!(last("2026-01-14").as_deref(), Some("2026-01-14T23:59:59.999999Z"));
        assert_eq!(last("2026-01-14T09:58:00Z").as_deref(), Some("2026-01-14T09:58:00.999999Z"));
        assert_eq!(last("-3h").as_deref(), Some("2026-01-15T09:00:00.000000Z"));
    }
}
