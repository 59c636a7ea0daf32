//! The findings of a trail as a list, to be filtered and stepped through. Has the place of all panes.
//!
//! Findings that have one explanation stand together, with the explanation once, and few before many: the one edited row
//! among a thousand that a writer hashed otherwise stands at the top.

use crate::case::verifications::Verification;
use crate::console::core::keymap::{Action, Keymap};
use crate::console::integrity::trails::{Trails, sign, verdict};
use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;
use crate::console::widgets::time_zone::Zone;
use crate::domain::{OrgId, Safe, Timestamp, grouped};
use crate::verify::{Class, Finding};

/// Lines about the finding under the cursor, below the list.
const ABOUT: usize = 5;
/// Verifications that are listed.
const VERIFICATIONS: usize = 20;

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    /// Of a group.
    Heading(Safe, Role),
    /// The finding of this place in the list.
    Finding(usize),
}

/// Which findings are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Shown {
    /// All.
    #[default]
    All,
    /// Those of a class.
    Only(Class),
    /// All but those of some classes.
    Without(Vec<Class>),
}

impl Shown {
    fn has(&self, class: Class) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => class == *only,
            Self::Without(some) => !some.contains(&class),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::All => String::new(),
            Self::Only(class) => format!(" · only {}", class.words()),
            Self::Without(some) => {
                let words: Vec<String> = some.iter().map(|class| class.words()).collect();
                format!(" · without {}", words.join(", "))
            }
        }
    }
}

/// What a list of the findings of a trail can say of it, and what it cannot: without findings it is no verdict.
pub(crate) fn standing(trails: &Trails, organization: &OrgId, keymap: &Keymap) -> (Safe, Role) {
    if let Some(scan) = trails.scanning(organization) {
        let text = format!("{}: what this finds is listed at its end", scan.title());
        return (Safe::composed(&text), Role::Notice);
    }
    match (trails.report(organization), &trails.trouble) {
        (Some(verified), _) => (verdict(verified), sign(verified.report.verdict).role()),
        (None, Some(trouble)) => {
            (Safe::composed(&format!("the trail is not verified: {trouble}")), Role::Error)
        }
        (None, None) => {
            let key = keymap.key(Action::VerifyAll);
            let text =
                format!("the trail is not verified ({key} does): listed is only what was seen in passing");
            (Safe::composed(&text), Role::Notice)
        }
    }
}

/// The state of the page.
#[derive(Debug)]
pub(crate) struct FindingsPage {
    /// Whose trail it is.
    pub(crate) organization: OrgId,
    /// All of them, in the order of the list.
    all: Vec<Finding>,
    verifications: Vec<Verification>,
    /// What the list says of the trail.
    standing: (Safe, Role),
    shown: Shown,
    /// Places in `all` that are listed.
    listed: Vec<usize>,
    lines: Vec<Line>,
    /// Place in `listed`.
    cursor: usize,
    top: usize,
    width: usize,
    height: usize,
    zone: Zone,
}

impl FindingsPage {
    /// The list of these findings.
    pub(crate) fn new(organization: OrgId, findings: Vec<Finding>, verifications: &[Verification]) -> Self {
        let mut page = Self {
            organization,
            all: Vec::new(),
            verifications: Vec::new(),
            standing: (Safe::default(), Role::Text),
            shown: Shown::All,
            listed: Vec::new(),
            lines: Vec::new(),
            cursor: 0,
            top: 0,
            width: 80,
            height: 0,
            zone: Zone::Utc,
        };
        page.set(findings, verifications);
        page
    }

    /// Takes other findings in; one stays where one was.
    pub(crate) fn set(&mut self, findings: Vec<Finding>, verifications: &[Verification]) {
        let stood = self.current().map(Finding::name);
        self.all = in_order(findings);
        self.verifications = verifications.iter().take(VERIFICATIONS).cloned().collect();
        self.list();
        let at = |name: &String| {
            self.listed.iter().position(|at| self.all.get(*at).is_some_and(|f| f.name() == *name))
        };
        if let Some(at) = stood.as_ref().and_then(at) {
            self.cursor = at;
        }
        self.keep_in_sight();
    }

    /// Takes note of what the list says of the trail: see [`standing`].
    pub(crate) fn set_standing(&mut self, standing: (Safe, Role)) {
        if self.standing != standing {
            self.standing = standing;
            self.list();
        }
    }

    /// The finding under the cursor.
    pub(crate) fn current(&self) -> Option<&Finding> {
        self.all.get(*self.listed.get(self.cursor)?)
    }

    /// Lists only what is of the class of the finding under the cursor, or leaves that class out.
    pub(crate) fn narrow(&mut self, leave_out: bool) {
        let Some(class) = self.current().map(|finding| finding.class) else { return };
        self.shown = match (&self.shown, leave_out) {
            (_, false) => Shown::Only(class),
            (Shown::Without(some), true) => Shown::Without(some.iter().copied().chain([class]).collect()),
            (_, true) => Shown::Without(vec![class]),
        };
        self.cursor = 0;
        self.list();
    }

    /// Lists all again. False when all are listed.
    pub(crate) fn widen(&mut self) -> bool {
        let narrowed = std::mem::take(&mut self.shown) != Shown::All;
        if narrowed {
            self.list();
        }
        narrowed
    }

    /// Takes note of the size of the page and of the zone that times are shown in.
    pub(crate) fn set_size(&mut self, width: usize, height: usize, zone: Zone) {
        let other = (width, zone) != (self.width, self.zone);
        (self.width, self.height, self.zone) = (width, height, zone);
        if other {
            self.list();
        }
        self.keep_in_sight();
    }

    /// Lines of the list.
    pub(crate) fn body_height(&self) -> usize {
        let about = if self.listed.is_empty() { 0 } else { ABOUT.min(self.height / 3) + 1 };
        self.height.saturating_sub(about)
    }

    /// Moves the cursor by findings.
    pub(crate) fn scroll(&mut self, by: isize) {
        self.cursor = self.cursor.saturating_add_signed(by);
        self.keep_in_sight();
    }

    /// `2 of 1 201 · only fork`
    pub(crate) fn note(&self) -> Safe {
        let place = match self.listed.len() {
            0 => "none".to_owned(),
            n => format!("{} of {}", grouped(self.cursor as u64 + 1), grouped(n as u64)),
        };
        Safe::from_untrusted(&format!("{} · {place}{}", self.organization.as_str(), self.shown.words()))
    }

    /// Lays the lines out.
    fn list(&mut self) {
        let width = self.width.saturating_sub(2).max(16);
        self.listed.clear();
        self.lines.clear();
        let heading = |lines: &mut Vec<Line>, text: &str, indent: usize, role: Role| {
            let wrapped = Safe::from_untrusted(text).wrapped_words(width.saturating_sub(indent).max(8), 2);
            let pad = " ".repeat(indent);
            let indented = wrapped.into_iter().map(|line| Safe::from_untrusted(&format!("{pad}{line}")));
            lines.extend(indented.map(|line| Line::Heading(line, role)));
        };
        if !self.standing.0.as_str().is_empty() {
            heading(&mut self.lines, self.standing.0.as_str(), 0, self.standing.1);
        }
        let shown = |(_, finding): &(usize, &Finding)| self.shown.has(finding.class);
        let some: Vec<(usize, &Finding)> = self.all.iter().enumerate().filter(shown).collect();
        for group in some.chunk_by(|(_, a), (_, b)| key(a) == key(b)) {
            let Some((_, first)) = group.first() else { continue };
            let title = format!("{} · {}", first.class.words(), grouped(group.len() as u64));
            heading(&mut self.lines, &title, 0, Role::Label);
            for explanation in &first.consistent_with {
                heading(
                    &mut self.lines,
                    &format!("consistent with: {}", general(explanation)),
                    2,
                    Role::Muted,
                );
            }
            for explanation in &first.ruled_out {
                heading(&mut self.lines, &format!("not: {explanation}"), 2, Role::Muted);
            }
            for (at, _) in group {
                self.lines.push(Line::Finding(self.listed.len()));
                self.listed.push(*at);
            }
        }
        if self.all.is_empty() {
            heading(&mut self.lines, "no finding is known", 0, Role::Muted);
        }
        if !self.verifications.is_empty() {
            heading(&mut self.lines, "last verifications at this place", 0, Role::Label);
        }
        for verification in &self.verifications {
            heading(&mut self.lines, &said(verification, self.zone), 2, Role::Text);
        }
        self.keep_in_sight();
    }

    fn keep_in_sight(&mut self) {
        self.cursor = self.cursor.min(self.listed.len().saturating_sub(1));
        let height = self.body_height().max(1);
        let line = self.lines.iter().position(|line| *line == Line::Finding(self.cursor)).unwrap_or_default();
        // The heading of the first finding of a group is shown with it.
        let headed =
            self.lines.iter().take(line).rev().take_while(|line| matches!(line, Line::Heading(..))).count();
        let above = line.saturating_sub(headed.min(height.saturating_sub(1)));
        self.top = self.top.min(above).max((line + 1).saturating_sub(height));
    }

    /// Draws the list, and what is known of the finding under the cursor.
    pub(crate) fn paint(&self, painter: &mut Painter<'_>) {
        let height = self.body_height();
        for (y, line) in self.lines.iter().skip(self.top).take(height).enumerate() {
            match line {
                Line::Heading(text, role) => {
                    painter.put(1, y, text, *role);
                }
                Line::Finding(at) => {
                    if let Some(finding) = self.listed.get(*at).and_then(|at| self.all.get(*at)) {
                        paint_finding(painter, y, finding, self.zone);
                    }
                    if *at == self.cursor {
                        painter.mark_line(y, Role::Selected);
                    }
                }
            }
        }
        let Some(finding) = self.current() else { return };
        painter.rule(0, height, "─", Role::Rule);
        let mut text = format!("{}: {}", finding.name(), finding.detail);
        for specific in finding.consistent_with.iter().filter_map(|text| text.split_once(": ")) {
            text.push_str(&format!(" · {}", specific.1));
        }
        let lines = Safe::from_untrusted(&text).wrapped_words(painter.width().saturating_sub(2).max(16), 2);
        for (y, line) in lines.iter().take(ABOUT).enumerate() {
            painter.put(1, height + 1 + y, line, if y == 0 { Role::Notice } else { Role::Text });
        }
    }
}

/// `   2026-01-15 09:58:01Z  evt-000123  the stored hash is not the hash of the row`
fn paint_finding(painter: &mut Painter<'_>, y: usize, finding: &Finding, zone: Zone) {
    let width = painter.width().saturating_sub(1);
    let time = Timestamp::parse(&finding.timestamp).map(|at| zone.second(at)).unwrap_or_default();
    painter.put(3, y, &Safe::from_untrusted(&time), Role::Text);
    let columns = (width.saturating_sub(zone.second_width() + 5) / 2).max(8);
    let place = Safe::from_untrusted(finding.place()).cut_middle(columns);
    let x = painter.put(5 + zone.second_width(), y, &place, Role::Label) + 2;
    painter.put(x, y, &Safe::from_untrusted(&finding.detail).cut_end(width.saturating_sub(x)), Role::Muted);
}

/// `2026-01-15 09:58:02Z  1 204 331 events  chain intact · head of 12 d ago present · 2 findings  by eve`
pub(crate) fn said(verification: &Verification, zone: Zone) -> String {
    let findings = match verification.findings {
        0 => String::new(),
        1 => " · 1 finding".to_owned(),
        n => format!(" · {} findings", grouped(n)),
    };
    format!(
        "{}  {} events  {}{findings} · {} · by {}",
        zone.second(verification.at),
        grouped(verification.events),
        verification.verdict,
        verification.newest_end,
        verification.by
    )
}

/// An explanation without what is of one row only.
fn general(explanation: &str) -> &str {
    explanation.split_once(": ").map_or(explanation, |(general, _)| general)
}

/// Findings of one key stand together.
fn key(finding: &Finding) -> (Class, Vec<&str>) {
    (finding.class, finding.consistent_with.iter().map(|text| general(text)).collect())
}

/// By class, within it groups of few before groups of many, within them by time.
fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| (key(a), &a.timestamp, a.place()).cmp(&(key(b), &b.timestamp, b.place())));
    let mut groups: Vec<&[Finding]> = findings.chunk_by(|a, b| key(a) == key(b)).collect();
    groups.sort_by_key(|group| (group.first().map(|finding| finding.class), group.len()));
    groups.concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::samples;

    fn finding(n: usize, explanation: &str) -> Finding {
        let mut finding = samples::report(&[Class::ContentMismatch]).findings.remove(0);
        finding.event_id = format!("e{n:04}");
        finding.timestamp = Timestamp::from_micros(n as i64 * 1_000_000).to_rfc3339();
        finding.consistent_with = vec![format!("{explanation}: {n}").into()];
        finding
    }

    #[test]
    fn the_one_row_with_another_explanation_stands_at_the_top_and_explanations_once() {
        let mut all: Vec<Finding> =
            (0..1199).map(|n| finding(n, "a writer that hashed nanoseconds")).collect();
        all.insert(700, finding(5000, "an edit"));
        all.extend(samples::report(&[Class::Fork]).findings);
        let mut page = FindingsPage::new(OrgId::new("acme").unwrap(), all, &[]);
        page.set_size(80, 20, Zone::Utc);
        assert_eq!(page.current().unwrap().event_id, "e5000");
        let headings = page.lines.iter().filter(|line| matches!(line, Line::Heading(..))).count();
        assert_eq!(headings, 3 + 2, "{:?}", &page.lines[..10]);
        page.scroll(isize::MAX);
        assert_eq!(page.current().unwrap().class, Class::Fork);
        page.narrow(false);
        assert_eq!((page.listed.len(), page.note().as_str()), (1, "acme · 1 of 1 · only fork"));
        assert!(page.widen() && !page.widen());
        page.narrow(true);
        assert_eq!(page.listed.len(), 1, "{:?}", page.note());
        // What comes in does not move one away.
        page.set(vec![finding(1, "an edit"), page.current().unwrap().clone()], &[]);
        assert_eq!(page.current().unwrap().class, Class::Fork);
    }
}
