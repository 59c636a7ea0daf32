//! What a change looks like: two states compared and laid out in lines of a given width. Done by the executor, away
//! from the screen; the pane only draws the lines.

use crate::console::change::found::Found;
pub(crate) use crate::console::change::lines::{Cell, Laid, Line};
use crate::console::widgets::highlight::Needles;
use crate::console::widgets::theme::Role;
use crate::diff::json::Limits;
use crate::diff::rows::{self, Row, Span, View, covered};
use crate::diff::writing::Writing;
use crate::diff::{Comparison, Options, Rules, compare, tree, unchanged};
use crate::domain::Safe;
use crate::store::history::Excerpt;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// Bytes of one state that are fetched without being asked for: as large as a state may be to be shown as a tree.
pub(crate) const CAP: u32 = 1_000_000;

/// Bytes of one state that are fetched on request.
pub(crate) const WHOLE: u32 = 64 << 20;

/// Time for the comparison of states that were fetched on request: whoever asks for them waits, and can go elsewhere.
const PATIENT: Duration = Duration::from_secs(5);

/// Maximum number of lines that are kept for the pane.
pub(crate) const MAX_LINES: usize = 20_000;

/// Least columns of one of two columns.
const LEAST_COLUMN: usize = 56;

/// Two states to be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct States {
    /// Before.
    pub(crate) old: Option<Arc<Excerpt>>,
    /// After.
    pub(crate) new: Option<Arc<Excerpt>>,
    /// How they are stored, where they are those of one event.
    pub(crate) writing: Writing,
}

impl States {
    /// Whether of one of them only the beginning is here.
    pub(crate) fn in_part(&self) -> bool {
        [&self.old, &self.new].into_iter().flatten().any(|s| !s.is_whole())
    }
}

/// A way to show a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Layout {
    /// One line for each change, most significant first.
    #[default]
    Paths,
    /// The document with `+` and `-`.
    Unified,
    /// Two columns.
    Columns,
    /// Both states exactly as stored.
    Raw,
}

impl Layout {
    /// The next one for which there is room.
    pub(crate) fn next(self, width: usize) -> Self {
        match self {
            Self::Paths => Self::Unified,
            Self::Unified if width >= 2 * LEAST_COLUMN => Self::Columns,
            Self::Unified | Self::Columns => Self::Raw,
            Self::Raw => Self::Paths,
        }
    }

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Paths => "paths",
            Self::Unified => "unified",
            Self::Columns => "side by side",
            Self::Raw => "raw",
        }
    }
}

/// How a change is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    /// The layout.
    pub(crate) layout: Layout,
    /// Columns of the pane.
    pub(crate) width: usize,
    /// Its lines: values unfold while there is room.
    pub(crate) height: usize,
    /// Containers whose unchanged parts are shown.
    pub(crate) unfolded: BTreeSet<String>,
    /// What is looked for: shown in full, wherever it is.
    pub(crate) needles: Option<Arc<Needles>>,
}

/// Compares two states and lays the difference out. `elapsed` limits the work as in [`compare`].
pub(crate) fn lay_out(
    states: &States,
    form: &Form,
    options: &Options,
    elapsed: &dyn Fn() -> Duration,
) -> Laid {
    let width = form.width.max(12);
    if states.in_part() {
        return in_part(states, form, width, &options.rules);
    }
    let (old, new) = (states.old.as_deref(), states.new.as_deref());
    let mut options = options.clone();
    if [old, new].into_iter().flatten().any(|s| s.bytes > u64::from(CAP)) {
        options.budget.time = PATIENT;
    }
    let options = &options;
    let (old, new) = (old.map(|s| &*s.text), new.map(|s| &*s.text));
    if form.layout == Layout::Raw {
        let compared = compare(old, new, options, elapsed);
        let heading = wrapped(&rows::heading(&compared), width);
        let view = View { width, rules: options.rules.clone(), ..View::default() };
        let lines = body(&compared, form.layout, &view);
        return Laid::new(heading, lines).marked(form.needles.as_deref(), &Found::default());
    }
    let limits = Limits { bytes: options.budget.bytes, nodes: options.budget.nodes };
    let [whole_old, whole_new] = states.writing.completed(old, new, limits);
    let compared = compare(whole_old.as_deref().or(old), whole_new.as_deref().or(new), options, elapsed);
    let found = form.needles.as_deref().map_or_else(Found::default, |needles| Found::of(needles, &compared));
    let view = View {
        width,
        rules: options.rules.clone(),
        unfolded: &form.unfolded | &found.around,
        in_full: &found.values | &found.around,
        limit: MAX_LINES,
        ..View::default()
    };
    let mut heading = wrapped(&rows::heading(&compared), width);
    if let (true, Some(remark)) = (old.is_some() && new.is_some(), states.writing.remark()) {
        heading.extend(paragraph(remark, Role::Muted, width));
    }
    if form.layout == Layout::Paths {
        let height = form.height.saturating_sub(heading.len());
        let unchanged = wrapped(&unchanged::rows(&compared, &found.values, &view), width);
        let (mut lines, unfolded) = paths(&compared, &view, height.saturating_sub(unchanged.len()));
        let unfolded = unfolded + unchanged.len();
        lines.extend(unchanged);
        return Laid { unfolded, ..Laid::new(heading, lines) }.marked(form.needles.as_deref(), &found);
    }
    Laid::new(heading, body(&compared, form.layout, &view)).marked(form.needles.as_deref(), &found)
}

/// The path list, its values over as many lines as there is room for; and how many lines it has with each value unfolded.
fn paths(compared: &Comparison<'_>, view: &View, height: usize) -> (Vec<Line>, usize) {
    let at = |lines| wrapped(&rows::path_list(compared, &View { lines, ..view.clone() }), view.width);
    let whole = at(12);
    let unfolded = whole.len();
    if unfolded <= height {
        return (whole, unfolded);
    }
    let short = at(1);
    if short.len() >= height {
        return (short, unfolded);
    }
    ([6, 4, 3, 2].into_iter().map(at).find(|lines| lines.len() <= height).unwrap_or(short), unfolded)
}

fn body(compared: &Comparison<'_>, layout: Layout, view: &View) -> Vec<Line> {
    let width = view.width;
    match layout {
        Layout::Paths => wrapped(&rows::path_list(compared, view), width),
        Layout::Columns if width < 2 * LEAST_COLUMN => body(compared, Layout::Unified, view),
        Layout::Unified => wrapped(&tree::unified(compared, view), width),
        Layout::Raw => [("previous_state", compared.old), ("new_state", compared.new)]
            .into_iter()
            .flat_map(|(name, text)| raw(name, text, width, &view.rules))
            .take(MAX_LINES)
            .collect(),
        Layout::Columns => match tree::side_by_side(compared, view) {
            Some(pairs) => columns(&pairs, width),
            None => wrapped(&rows::path_list(compared, view), width),
        },
    }
}

/// States of which only the beginning was fetched: sizes, digests, and whether they differ.
fn in_part(states: &States, form: &Form, width: usize, rules: &Rules) -> Laid {
    let mut heading = Vec::new();
    let mut say = |text: &str, role: Role| heading.extend(paragraph(text, role, width));
    let mut digests = [None, None];
    for ((name, side), digest) in
        [("previous_state", &states.old), ("new_state", &states.new)].into_iter().zip(&mut digests)
    {
        match side {
            None => say(&format!("{name}: not recorded"), Role::Muted),
            Some(excerpt) => {
                let size = rows::size(usize::try_from(excerpt.bytes).unwrap_or(usize::MAX));
                say(&format!("{name}: {size}"), Role::Text);
                *digest = Some(
                    excerpt
                        .sha256
                        .as_deref()
                        .map_or_else(|| Cow::Owned(crate::chain::sha256(&*excerpt.text)), Cow::Borrowed),
                );
            }
        }
    }
    for (mark, digest) in ["-", "+"].into_iter().zip(&digests) {
        if let Some(digest) = digest {
            say(&format!("{mark} sha256 {digest}"), Role::Muted);
        }
    }
    say(
        if digests[0] == digests[1] { "both are the same, byte by byte" } else { "they differ" },
        Role::Notice,
    );
    let cap = rows::size(CAP as usize);
    say(
        &format!("Only the beginning of what is larger than {cap} was fetched. Enter loads the whole."),
        Role::Notice,
    );
    let lines = match form.layout {
        Layout::Raw => [("previous_state", &states.old), ("new_state", &states.new)]
            .into_iter()
            .flat_map(|(name, side)| raw(name, side.as_ref().map(|s| &*s.text), width, rules))
            .collect(),
        _ => Vec::new(),
    };
    Laid::new(heading, lines)
}

/// A text over as many lines as it needs, broken where a line ends.
pub(crate) fn paragraph(text: &str, role: Role, width: usize) -> Vec<Line> {
    of_texts(Safe::composed(text).wrapped_words(width, 2), role)
}

/// A sentence over as many lines as it needs, broken between words; all of them begin at the left.
pub(crate) fn sentence(text: &'static str, role: Role, width: usize) -> Vec<Line> {
    of_texts(Safe::literal(text).wrapped_words(width, 0), role)
}

fn of_texts(texts: Vec<Safe>, role: Role) -> Vec<Line> {
    let line =
        |text| Line { left: Cell { pieces: vec![(text, role)], ..Cell::default() }, ..Line::default() };
    texts.into_iter().map(line).collect()
}

/// A state exactly as stored, broken where the pane ends and nowhere else.
fn raw(name: &str, text: Option<&str>, width: usize, rules: &Rules) -> Vec<Line> {
    let Some(text) = text else { return paragraph(&format!("{name} not recorded"), Role::Label, width) };
    let mut lines = paragraph(&format!("{name} {} bytes", text.len()), Role::Label, width);
    let heading = lines.len();
    // What is far beyond the lines that are shown is not gone through.
    let text = text.get(..text.floor_char_boundary(MAX_LINES * 4 * width.max(64))).unwrap_or(text);
    // Escapes stay in one piece: they are made before the text is broken.
    let shown = Safe::composed(text).reading_as(&Safe::composed(&covered(text, rules)));
    lines.extend(of_texts(shown.wrapped_anywhere(width), Role::Text).into_iter().take(MAX_LINES + 1));
    for line in lines.iter_mut().skip(heading + 1) {
        line.continued = true;
    }
    lines
}

/// Rows in lines of at most `width` columns.
pub(crate) fn wrapped(rows: &[Row], width: usize) -> Vec<Line> {
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows.iter().take(MAX_LINES) {
        let pointer: Option<Arc<str>> = row.pointer.as_deref().map(Arc::from);
        for (i, left) in cells(row, width).into_iter().enumerate() {
            lines.push(Line { left, pointer: pointer.clone(), continued: i > 0, ..Line::default() });
        }
    }
    if rows.len() > MAX_LINES {
        let rest = format!("… {} lines more; agenttrace diff shows all", rows.len() - MAX_LINES);
        lines.extend(paragraph(&rest, Role::Notice, width));
    }
    lines
}

fn columns(pairs: &[(Option<Row>, Option<Row>)], width: usize) -> Vec<Line> {
    let left_width = left_column(width);
    let right_width = width.saturating_sub(left_width + 1);
    let mut lines = Vec::with_capacity(pairs.len());
    for (left, right) in pairs.iter().take(MAX_LINES) {
        let pointer = [right, left].into_iter().flatten().find_map(|r| r.pointer.as_deref()).map(Arc::from);
        let side = |row: &Option<Row>, width| row.as_ref().map(|r| cells(r, width)).unwrap_or_default();
        let (mut left, mut right) = (side(left, left_width), side(right, right_width));
        let height = left.len().max(right.len());
        left.resize_with(height, Cell::default);
        right.resize_with(height, Cell::default);
        for (i, (left, right)) in left.into_iter().zip(right).enumerate() {
            let (right, pointer, continued) = (Some(right), Option::clone(&pointer), i > 0);
            lines.push(Line { left, right, pointer, continued, event: None });
        }
    }
    lines
}

/// Columns of the left one of two columns; the line between them stands behind it.
pub(crate) fn left_column(width: usize) -> usize {
    width.saturating_sub(1) / 2
}

/// A row in lines of at most `width` columns; continued lines stand two columns further in.
fn cells(row: &Row, width: usize) -> Vec<Cell> {
    let mark_role = match row.mark {
        '+' => Role::Added,
        '-' => Role::Removed,
        '?' => Role::Notice,
        _ => Role::Changed,
    };
    let indent = (2 + 2 * usize::from(row.indent)).min(width / 2);
    let mark = (row.mark != ' ').then(|| (Safe::composed(row.mark.encode_utf8(&mut [0; 4])), mark_role));
    let mut cells = vec![Cell { mark, indent, ..Cell::default() }];
    let mut used = indent;
    let texts: Vec<&Safe> = row.spans.iter().map(|span| &span.text).collect();
    for (Span { role, .. }, text) in row.spans.iter().zip(Safe::masked_together(&texts)) {
        let role = if row.noise { Role::Muted } else { theme_role(*role) };
        if used + text.width() <= width {
            used += text.width();
            push(&mut cells, text, role);
            continue;
        }
        let mut piece = String::new();
        // The column of the text at which the piece begins.
        let mut begin = 0;
        for grapheme in text.as_str().graphemes(true) {
            let columns = grapheme.width();
            if used + columns > width && used > indent + 2 {
                // Between words, unless that leaves half of the line blank.
                let tail = piece.rfind(' ').map_or("", |blank| piece.get(blank + 1..).unwrap_or_default());
                let tail = if tail.width() > width / 2 { String::new() } else { tail.to_owned() };
                piece.truncate(piece.len() - tail.len());
                let end = begin + piece.width();
                push(&mut cells, text.columns(begin, end), role);
                begin = end;
                used = (indent + 2).min(width / 2);
                cells.push(Cell { indent: used, ..Cell::default() });
                used += tail.width();
                piece = tail;
            }
            piece.push_str(grapheme);
            used += columns;
        }
        push(&mut cells, text.columns(begin, begin + piece.width()), role);
    }
    cells
}

fn push(cells: &mut [Cell], text: Safe, role: Role) {
    if let Some(cell) = cells.last_mut() {
        cell.pieces.push((text, role));
    }
}

/// How the roles of a difference look.
pub(crate) fn theme_role(role: rows::Role) -> Role {
    match role {
        rows::Role::Plain => Role::Text,
        rows::Role::Dim => Role::Muted,
        rows::Role::Path => Role::Label,
        rows::Role::Important => Role::Important,
        rows::Role::Added => Role::Added,
        rows::Role::Removed => Role::Removed,
        rows::Role::AddedPart => Role::AddedPart,
        rows::Role::RemovedPart => Role::RemovedPart,
        rows::Role::Masked => Role::Masked,
        rows::Role::Notice => Role::Notice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::unhurried;

    fn whole(text: &str) -> Arc<Excerpt> {
        Arc::new(Excerpt { text: text.into(), bytes: text.len() as u64, sha256: None })
    }

    fn laid(states: &States, layout: Layout, width: usize) -> Laid {
        let form = Form { layout, width, height: 0, unfolded: BTreeSet::new(), needles: None };
        lay_out(states, &form, &Options::default(), &unhurried)
    }

    fn text(cell: &Cell) -> String {
        let mark = cell.mark.as_ref().map_or("", |(m, _)| m.as_str());
        let text: String = cell.pieces.iter().map(|(t, _)| t.as_str()).collect();
        format!("{mark:indent$}{text}", indent = cell.indent)
    }

    #[test]
    fn no_line_is_wider_than_the_pane_and_nothing_is_lost() {
        let long = "0123456789".repeat(30);
        let old = format!("{{\"text\": \"{long}a\", \"日本語日本語日本語日本語\": [1, 2]}}");
        let new = format!("{{\"text\": \"{long}b\", \"日本語日本語日本語日本語\": [1, 2, 3]}}");
        let states = States { old: Some(whole(&old)), new: Some(whole(&new)), writing: Writing::Full };
        for layout in [Layout::Paths, Layout::Unified, Layout::Raw, Layout::Columns] {
            for width in [12, 40, 78, 118] {
                let laid = laid(&states, layout, width);
                for line in laid.heading.iter().chain(&laid.lines) {
                    let left = if line.right.is_some() { left_column(width) } else { width };
                    let cell = Safe::composed(&text(&line.left));
                    assert!(cell.width() <= left, "{layout:?} {width}: {cell}");
                }
            }
        }
        let all: String = laid(&states, Layout::Raw, 40).lines.iter().map(|l| text(&l.left)).collect();
        assert!(all.contains(&old) && all.contains(&new), "{all}");
    }

    #[test]
    fn of_a_call_request_and_error_come_first_and_nothing_changed() {
        let call = r#"{"eventType": "AwsApiCall", "eventVersion": "1.08", "errorCode": "AccessDenied",
            "userIdentity": {"userName": "ada"}, "requestParameters": {"userName": "eve"}}"#;
        let states = States { old: None, new: Some(whole(call)), writing: Writing::Full };
        for layout in [Layout::Paths, Layout::Unified, Layout::Columns] {
            let laid = laid(&states, layout, 120);
            assert_eq!(
                text(&laid.heading[0].left).trim_start(),
                "a call, as AWS CloudTrail recorded it: no states, so no change"
            );
            let lines: Vec<String> = laid.lines.iter().map(|l| text(&l.left)).collect();
            let place = |word: &str| lines.iter().position(|line| line.contains(word));
            let order = ["request", "eve", "AccessDenied", "everything else", "ada"].map(place);
            assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{layout:?} {lines:?}");
        }
    }

    #[test]
    fn of_large_states_sizes_and_digests_are_told() {
        let beginning = Excerpt { text: "[1, ".into(), bytes: 50_000_000, sha256: Some("ab12".to_owned()) };
        let states =
            States { old: Some(whole("[]")), new: Some(Arc::new(beginning)), writing: Writing::Full };
        let laid = laid(&states, Layout::Paths, 80);
        let told: Vec<String> = laid.heading.iter().map(|l| text(&l.left)).collect();
        let digest = crate::chain::sha256("[]");
        assert_eq!(
            told,
            [
                "previous_state: 2 B",
                "new_state: 50.0 MB",
                &format!("- sha256 {digest}"),
                "+ sha256 ab12",
                "they differ",
                "Only the beginning of what is larger than 1.0 MB was fetched. Enter loads the whole.",
            ]
            .iter()
            .flat_map(|line| paragraph(line, Role::Text, 80))
            .map(|l| text(&l.left))
            .collect::<Vec<_>>()
        );
    }
}
