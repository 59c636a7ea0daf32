//! What is known of the integrity of the selected event, of the rows on the screen, and of the whole trail.

use crate::chain::{Scheme, protected_columns};
use crate::console::app::model::Model;
use crate::console::core::keymap::{Action, Keymap};
use crate::console::integrity::findings;
use crate::console::integrity::row_marks;
use crate::console::integrity::row_marks::{Glance, Mark};
use crate::console::integrity::selected_event::Known;
use crate::console::integrity::trails;
use crate::console::integrity::trails::Verified;
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::domain::{Safe, grouped};
use crate::verify::{EventReport, Finding, Neighbour, Predecessor};

/// Columns of the names at the left, blank included.
const LABEL: usize = 9;

/// Verifications of the past that are listed.
const VERIFICATIONS: usize = 5;

/// Contradictions that are told in full: the list of findings has all.
const CONTRADICTIONS: usize = 3;

/// Findings that are listed about the one that has been stepped to.
const LISTED: usize = 50;

/// A line of the pane.
struct Line {
    label: &'static str,
    text: Safe,
    role: Role,
}

/// What the title says: the state of the whole trail.
pub(crate) fn note(model: &Model) -> Safe {
    let Some(organization) = model.organization() else { return Safe::default() };
    if let Some(scan) = model.trails.scanning(organization) {
        return scan.title();
    }
    // No verdict of earlier outranks what is seen now.
    if let Some(contradiction) = trails::contradiction(&model.trails, &model.marks, organization) {
        return contradiction;
    }
    match model.trails.report(organization) {
        Some(verified) => trails::verdict(verified),
        None => Safe::literal("trail not verified"),
    }
}

/// Number of lines at a width.
pub(crate) fn height(model: &Model, width: usize) -> usize {
    lines(model, width).len()
}

/// Draws the lines that fit.
pub(crate) fn paint(painter: &mut Painter<'_>, model: &Model) {
    let lines = lines(model, painter.width());
    let top = model.integrity.top.min(lines.len().saturating_sub(painter.height()));
    for (y, line) in lines.iter().skip(top).take(painter.height()).enumerate() {
        painter.say(1, y, line.label, Role::Label);
        painter.put(1 + LABEL, y, &line.text, line.role);
    }
}

fn lines(model: &Model, width: usize) -> Vec<Line> {
    let mut out = Lines { lines: Vec::new(), width: width.saturating_sub(LABEL + 2).max(8) };
    out.event(model);
    out.screen(model);
    out.trail(model);
    if let Known::Report(report) = &model.integrity.known {
        out.hashes(report);
    }
    out.limits(model);
    out.lines
}

struct Lines {
    lines: Vec<Line>,
    width: usize,
}

impl Lines {
    fn add(&mut self, mut label: &'static str, text: &str, role: Role) {
        for text in Safe::from_untrusted(text).wrapped_words(self.width, 2) {
            self.lines.push(Line { label: std::mem::take(&mut label), text, role });
        }
    }

    /// The verdict on the selected event, and its neighbours in the chain.
    fn event(&mut self, model: &Model) {
        let Some(row) = model.integrity.row() else {
            return self.add("event", "none is selected", Role::Muted);
        };
        match &model.integrity.known {
            Known::Report(report) => self.report(report),
            // That it was verified when it was read would look like a verdict on what is there now.
            Known::Gone => {
                let text = "? gone: it was in the table when this view was loaded, and is not any more";
                self.add("event", text, Role::Unable);
            }
            Known::Trouble(why) => {
                self.glance(model.marks.of(row));
                self.add("", why.as_str(), Role::Error);
            }
            Known::Nothing => self.glance(model.marks.of(row)),
        }
    }

    fn glance(&mut self, known: Option<&Glance>) {
        let mark = known.map_or(Mark::Unchecked, |glance| glance.mark);
        self.add("event", &format!("{} {}", mark.sign(), mark.word()), mark.role());
        if let Some(why) = known.map(|glance| glance.why.as_str()).filter(|why| !why.is_empty()) {
            self.add("", why, Role::Text);
        }
    }

    fn report(&mut self, report: &EventReport) {
        let mark = Glance::from_report(report).mark;
        let guessed = if report.scheme.guessed { ", guessed" } else { "" };
        let text = format!("{} {} · {}{guessed}", mark.sign(), mark.word(), report.scheme.name);
        self.add("event", &text, mark.role());
        if let Some(detail) = &report.detail {
            self.add("", detail, Role::Text);
        }
        for explanation in &report.consistent_with {
            self.add("", &format!("consistent with: {explanation}"), Role::Muted);
        }
        for explanation in &report.ruled_out {
            self.add("", &format!("not: {explanation}"), Role::Muted);
        }
        match &report.predecessor {
            Predecessor::Genesis => self.add("previous", "none (first event)", Role::Text),
            Predecessor::Missing => {
                self.add("previous", "? an event that is not in the organisation", Role::Unable);
                self.add("", &report.previous_hash, Role::Muted);
            }
            Predecessor::Found { events } => self.neighbours("previous", events),
            Predecessor::Unknown => {
                let text = "· neighbours not looked up: no index on hashes, v looks all the same";
                return self.add("links", text, Role::Unchecked);
            }
        }
        match report.successors.as_slice() {
            [] => self.add("next", "none (newest event)", Role::Text),
            [_] => self.neighbours("next", &report.successors),
            several => {
                self.add("next", &format!("? {} events: a fork", several.len()), Role::Unable);
                self.neighbours("", several);
            }
        }
    }

    fn neighbours(&mut self, label: &'static str, events: &[Neighbour]) {
        let mut label = label;
        for event in events.iter().take(LISTED) {
            // To the second: what tells it from others is its id.
            let time: String = event.timestamp.chars().take(19).collect();
            let text = format!("{} of {}Z", event.event_id, time.replace('T', " "));
            self.add(std::mem::take(&mut label), &text, Role::Text);
        }
    }

    /// How many rows on the screen fit their hashes.
    fn screen(&mut self, model: &Model) {
        if model.timeline.window.is_empty() {
            return;
        }
        let marks = model.timeline.visible().map(|row| model.marks.mark(&row.event));
        self.add("screen", row_marks::counted(marks).as_str(), Role::Text);
        if let Some(trouble) = &model.marks.trouble {
            self.add("", trouble.as_str(), Role::Error);
        }
    }

    fn trail(&mut self, model: &Model) {
        let Some(organization) = model.organization() else { return };
        let keymap = &model.setup.keymap;
        let mut label = "trail";
        if let Some(scan) = model.trails.scanning(organization) {
            let (stop, pause) = (key(keymap, Action::Cancel), key(keymap, Action::Pause));
            let pause = format!("{pause} {}", if scan.paused { "goes on" } else { "pauses" });
            let text = format!("{}: {} · {stop} stops · {pause}", scan.title(), scan.describe());
            self.add(std::mem::take(&mut label), &text, Role::Notice);
            if let Some((strip, words)) = scan.ranges(self.width) {
                self.add("", strip.as_str(), Role::Text);
                self.add("", words.as_str(), Role::Muted);
            }
            if let (Some(pace), false) = (model.trails.throttle, scan.paused) {
                let pace = grouped(pace.get().into());
                let text =
                    format!("at most {pace} events a second, {} changes that", key(keymap, Action::Throttle));
                self.add("", &text, Role::Muted);
            }
        } else if let Some(trouble) = &model.trails.trouble {
            self.add(std::mem::take(&mut label), trouble.as_str(), Role::Error);
        }
        let contradiction = trails::contradiction(&model.trails, &model.marks, organization);
        if let Some(contradiction) = &contradiction {
            self.add(std::mem::take(&mut label), contradiction.as_str(), Role::Broken);
            for finding in model.trails.contradictions(organization).take(CONTRADICTIONS) {
                self.add("", &finding.detail, Role::Text);
            }
        }
        let Some(verified) = model.trails.report(organization) else {
            if !label.is_empty() || contradiction.is_some() {
                let text = format!("· not verified: {} reads all of it", key(keymap, Action::VerifyAll));
                self.add(label, &text, Role::Unchecked);
            }
            return;
        };
        let verdict = trails::verdict(verified);
        if contradiction.is_some() {
            self.add(label, &format!("last verification: {verdict}"), Role::Muted);
        } else {
            self.add(label, verdict.as_str(), trails::sign(verified.report.verdict).role());
        }
        self.add("", trails::coverage(verified, model.at.wall, model.zone).as_str(), Role::Text);
        for limit in verified.report.limits.iter().skip(1) {
            self.add("", limit, Role::Muted);
        }
        for remark in &verified.report.remarks {
            self.add("", remark, Role::Notice);
        }
        if verified.report.scheme.guessed {
            self.add("", "the scheme had to be guessed: no event of a sample fits one", Role::Unable);
        }
        if !verified.report.accepted.is_empty() {
            let text = format!("{} more have been accepted", grouped(verified.report.accepted.len() as u64));
            self.add("", &text, Role::Muted);
        }
        let above = match &model.integrity.known {
            Known::Report(report) => Some(&**report),
            _ => None,
        };
        self.findings(verified, above, keymap);
    }

    /// The finding that has been stepped to in full, the others about it in a line each. What the report of the event `above`
    /// says already is not said again.
    fn findings(&mut self, verified: &Verified, above: Option<&EventReport>, keymap: &Keymap) {
        let findings = &verified.report.findings;
        let Some(at) = verified.finding else {
            if !findings.is_empty() {
                let (next, previous) =
                    (key(keymap, Action::NextFinding), key(keymap, Action::PreviousFinding));
                self.add(
                    "",
                    &format!("{next} goes to the next finding, {previous} to the one before"),
                    Role::Muted,
                );
            }
            return;
        };
        let from = at.saturating_sub(LISTED / 2);
        for (index, finding) in findings.iter().enumerate().skip(from).take(LISTED) {
            if index == at {
                self.finding(index, findings.len(), finding, above);
            } else {
                let text = format!("{} {}", finding.class.name().replace('_', " "), finding.event_id);
                self.add("", &text, Role::Muted);
            }
        }
    }

    fn finding(&mut self, index: usize, count: usize, finding: &Finding, above: Option<&EventReport>) {
        let class = finding.class.name().replace('_', " ");
        let above = above.filter(|report| report.event_id == finding.event_id);
        let explanations = || finding.consistent_with.iter().chain(&finding.ruled_out);
        let is_said = above.is_some_and(|report| {
            let said = || report.consistent_with.iter().chain(&report.ruled_out);
            explanations().all(|explanation| said().any(|known| known == explanation))
        });
        let has_detail = above.is_some_and(|report| report.detail.as_deref() == Some(&*finding.detail));
        let hint = if is_said && has_detail { " (see above)" } else { "" };
        let text =
            format!("▸ {} of {}: {class} {}{hint}", index + 1, grouped(count as u64), finding.event_id);
        self.add("", &text, Role::Notice);
        if !has_detail {
            self.add("", &finding.detail, Role::Text);
        }
        if is_said {
            return;
        }
        for explanation in &finding.consistent_with {
            self.add("", &format!("consistent with: {explanation}"), Role::Muted);
        }
        for explanation in &finding.ruled_out {
            self.add("", &format!("not: {explanation}"), Role::Muted);
        }
    }

    fn hashes(&mut self, report: &EventReport) {
        self.add("stored", &report.stored_hash, Role::Text);
        let computed = report.computed_hash.as_deref().unwrap_or("none: the scheme cannot write this row");
        let same = computed == report.stored_hash;
        self.add("computed", if same { "the same" } else { computed }, Role::Text);
    }

    fn protection(&mut self, scheme: Scheme) {
        let (protected, unprotected) = protected_columns(scheme);
        let text = format!("{} columns are protected by the hash", protected.len());
        self.add("covered", &text, Role::Text);
        if !unprotected.is_empty() {
            self.add("", &format!("not protected: {}", unprotected.join(", ")), Role::Unable);
        }
    }

    /// Which columns the hash protects, and what nothing here says anything about.
    fn limits(&mut self, model: &Model) {
        if let Some(detected) = model.marks.detected() {
            self.protection(detected.scheme);
        }
        let Some(organization) = model.organization() else { return };
        let mut label = "before";
        for verification in model.trails.verifications(organization).iter().take(VERIFICATIONS) {
            self.add(std::mem::take(&mut label), &findings::said(verification, model.zone), Role::Muted);
        }
        let Some(verified) = model.trails.report(organization) else { return };
        let coverage = &verified.report.coverage;
        let mut label = "unknown";
        for text in &coverage.not_checked {
            self.add(std::mem::take(&mut label), text, Role::Muted);
        }
    }
}

fn key(keymap: &Keymap, action: Action) -> String {
    keymap.keys_of(action).into_iter().next().unwrap_or_default()
}

#[cfg(test)]
#[path = "pane_tests.rs"]
pub(crate) mod tests;
