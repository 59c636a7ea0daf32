//! Which columns the timeline has, and how wide they are: fitted to the rows on the screen and near it.

use crate::console::widgets::painter::Painter;
use crate::console::widgets::theme::Role;

/// A column besides the fixed ones: mark, time and severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// The time since the event before it.
    Elapsed,
    /// The type of the event.
    Type,
    /// The object: type and id.
    Resource,
    /// Who acted.
    Actor,
    /// The address that it came from.
    Address,
    /// How many fields changed.
    Changes,
    /// The action, where the type does not say it.
    Action,
    /// The session.
    Session,
    /// The request.
    Request,
    /// What was said of the event: signs.
    Case,
}

impl Column {
    /// All, in their order on the screen.
    pub(crate) const ALL: [Self; 10] = [
        Self::Elapsed,
        Self::Type,
        Self::Resource,
        Self::Actor,
        Self::Address,
        Self::Changes,
        Self::Action,
        Self::Session,
        Self::Request,
        Self::Case,
    ];

    /// Its name in the dialog of columns and in the file that remembers them.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Elapsed => "elapsed",
            Self::Changes => "changes",
            Self::Case => "case",
            other => other.head(),
        }
    }

    const fn head(self) -> &'static str {
        match self {
            Self::Elapsed => "Δt",
            Self::Type => "type",
            Self::Resource => "resource",
            Self::Actor => "actor",
            Self::Address => "address",
            Self::Changes => "Δ",
            Self::Action => "action",
            Self::Session => "session",
            Self::Request => "request",
            Self::Case => "",
        }
    }

    /// Whether the column is there only where it is due, and not wherever it fits.
    const fn is_optional(self) -> bool {
        matches!(self, Self::Elapsed)
    }

    /// From this width of the timeline on the column is there even where others are cut for it; below, where it fits.
    const fn always_from(self) -> usize {
        match self {
            Self::Type | Self::Resource | Self::Actor | Self::Case => 0,
            Self::Changes | Self::Action => 100,
            Self::Address => 120,
            Self::Session => 140,
            Self::Request => 160,
            Self::Elapsed => 180,
        }
    }
}

/// When a column is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum When {
    /// As the width of the timeline suggests.
    #[default]
    Auto,
    /// Wherever it has room, before those that nobody asked for.
    Always,
    /// Left of all others, uncut, and there also while others are scrolled away.
    Frozen,
    /// Never.
    Never,
}

impl When {
    /// What the key that toggles makes of it.
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::Auto => Self::Always,
            Self::Always => Self::Frozen,
            Self::Frozen => Self::Never,
            Self::Never => Self::Auto,
        }
    }

    /// The word for it.
    pub(crate) const fn says(self) -> &'static str {
        match self {
            Self::Auto => "by width",
            Self::Always => "always",
            Self::Frozen => "frozen",
            Self::Never => "never",
        }
    }
}

/// First column of those that share the rest of a line.
const LEFT: usize = 17;

/// A column that is cut is at least so wide, or not there.
const LEAST: usize = 9;

/// Columns of a number of changes.
const CHANGES: usize = 4;

/// A column that may be there.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// Its place in the order of the user.
    place: usize,
    column: Column,
    when: When,
    /// Columns of the screen that it takes uncut.
    wanted: usize,
}

/// The columns that have something to show in a timeline `width` wide, in the order in which they were chosen.
fn candidates(
    width: usize,
    chosen: &[(Column, When)],
    widest: impl Fn(Column) -> usize,
) -> impl Iterator<Item = Candidate> {
    chosen.iter().enumerate().filter_map(move |(place, &(column, when))| {
        let wanted = match column {
            Column::Changes => CHANGES,
            // Nobody has one, or every type says it: no column.
            _ => match widest(column) {
                0 => return None,
                widest => widest.max(column.head().chars().count()),
            },
        };
        let is_idle = when == When::Auto && column.is_optional() && width < column.always_from();
        (when != When::Never && !is_idle).then_some(Candidate { place, column, when, wanted })
    })
}

/// Columns of the screen that some take, each with a blank behind it.
fn taken(shown: &[Candidate]) -> usize {
    shown.iter().map(|candidate| candidate.wanted + 1).sum()
}

/// The columns of a timeline, from left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Columns {
    shown: Vec<(Column, usize)>,
    /// Place of the first one that is not frozen, where some before it are scrolled away.
    scrolled: Option<usize>,
}

impl Columns {
    /// Fits columns into a timeline `width` wide, less one at the right end, as they were chosen, without the first
    /// `scrolled` ones that are not frozen. `widest` is the width of the longest text that the rows have in a column.
    pub(crate) fn fit(
        width: usize,
        chosen: &[(Column, When)],
        scrolled: usize,
        widest: impl Fn(Column) -> usize,
    ) -> Self {
        let room = width.saturating_sub(LEFT + 1);
        let (mut frozen, mut others): (Vec<Candidate>, Vec<Candidate>) =
            candidates(width, chosen, widest).partition(|candidate| candidate.when == When::Frozen);
        let scrolled = scrolled.min(others.len().saturating_sub(1));
        others.drain(..scrolled);
        // Of the frozen ones no less is shown than there is room for; the last are cut.
        let mut rest = room;
        for candidate in &mut frozen {
            candidate.wanted = candidate.wanted.min(rest);
            rest = rest.saturating_sub(candidate.wanted + 1);
        }
        frozen.retain(|candidate| candidate.wanted > 0);
        let mut shown = Self::choose(width, rest, &others);
        // Of words that are all cut to a few letters, fewer and longer ones say more.
        let least = usize::from(frozen.is_empty());
        while shown.len() > least && rest / shown.len() <= LEAST && taken(&shown) > rest + 1 {
            let nobody_asked = shown.iter().rposition(|candidate| candidate.when == When::Auto);
            let Some(at) = nobody_asked.or_else(|| (least == 0).then(|| shown.len() - 1)) else { break };
            shown.remove(at);
        }
        shown.sort_by_key(|candidate| candidate.place);
        let widths = |shown: &[Candidate]| shown.iter().map(|c| (c.column, c.wanted)).collect::<Vec<_>>();
        let (first, mut others) = (widths(&frozen), widths(&shown));
        cut(&mut others, rest.saturating_sub(shown.len().saturating_sub(1)));
        let scrolled = (scrolled > 0).then_some(first.len());
        Self { shown: [first, others].concat(), scrolled }
    }

    /// By importance, which is their order: what has to be there, then what fits beside it uncut.
    fn choose(width: usize, room: usize, candidates: &[Candidate]) -> Vec<Candidate> {
        let is_due =
            |candidate: &Candidate| candidate.when == When::Always || width >= candidate.column.always_from();
        let (mut shown, rest): (Vec<Candidate>, Vec<Candidate>) = candidates.iter().partition(|c| is_due(c));
        for candidate in rest {
            if taken(&shown) + candidate.wanted <= room {
                shown.push(candidate);
            }
        }
        shown
    }

    /// How far the columns of a timeline can be scrolled: one that is not frozen remains.
    pub(crate) fn most_scrolled(
        width: usize,
        chosen: &[(Column, When)],
        widest: impl Fn(Column) -> usize,
    ) -> usize {
        let others = candidates(width, chosen, widest).filter(|candidate| candidate.when != When::Frozen);
        others.count().saturating_sub(1)
    }

    /// Each column with its place and its width.
    pub(crate) fn places(&self) -> impl Iterator<Item = (Column, usize, usize)> {
        let mut x = LEFT;
        self.shown.iter().map(move |(column, width)| {
            let at = x;
            x += width + 1;
            (*column, at, *width)
        })
    }

    /// Draws the names of the columns.
    pub(crate) fn paint_heads(&self, painter: &mut Painter<'_>, y: usize) {
        painter.say(3, y, "time", Role::Label);
        painter.say(12, y, "sev", Role::Label);
        for (column, x, width) in self.places() {
            if column.head().chars().count() <= width {
                painter.say(x, y, column.head(), Role::Label);
            }
        }
        if let Some((_, x, _)) = self.scrolled.and_then(|first| self.places().nth(first)) {
            painter.say(x - 1, y, "‹", Role::Notice);
        }
    }
}

/// Cuts columns such that all have room, what happened last.
fn cut(columns: &mut Vec<(Column, usize)>, room: usize) {
    let kind = columns.iter().position(|(column, _)| *column == Column::Type);
    let wanted = kind.and_then(|at| columns.get(at)).map_or(0, |(_, wanted)| *wanted);
    level(columns, room);
    let wanted = wanted.min(room * 2 / 5);
    if let Some(at) = kind.filter(|at| columns.get(*at).is_some_and(|(_, width)| *width < wanted)) {
        columns.remove(at);
        level(columns, room - wanted);
        columns.insert(at, (Column::Type, wanted));
    }
}

/// Cuts the widest columns, and no others, to one width such that all have room.
fn level(columns: &mut [(Column, usize)], room: usize) {
    let mut widths: Vec<usize> = columns.iter().map(|(_, width)| *width).collect();
    if widths.iter().sum::<usize>() <= room {
        return;
    }
    widths.sort_unstable();
    let (mut rest, mut left) = (room, widths.len());
    for width in widths {
        if width * left > rest {
            break;
        }
        rest -= width;
        left -= 1;
    }
    let (limit, mut spare) = (rest / left.max(1), rest % left.max(1));
    for (_, width) in columns.iter_mut().filter(|(_, width)| *width > limit) {
        *width = limit + usize::from(spare > 0);
        spare = spare.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::timeline::column_choice::ColumnChoice;

    /// Of rows with texts of these widths.
    fn fit(width: usize, kind: usize, resource: usize, actor: usize) -> Columns {
        chosen("", width, 0, [kind, resource, actor])
    }

    /// The same, as chosen, with some columns scrolled away.
    fn chosen(line: &str, width: usize, scrolled: usize, [kind, resource, actor]: [usize; 3]) -> Columns {
        Columns::fit(width, ColumnChoice::of_line(line).columns(), scrolled, |column| match column {
            Column::Elapsed => 7,
            Column::Type => kind,
            Column::Resource => resource,
            Column::Actor => actor,
            Column::Address => 13,
            Column::Changes => 0,
            Column::Action | Column::Session | Column::Request => 6,
            Column::Case => 0,
        })
    }

    fn shown(columns: &Columns) -> Vec<&'static str> {
        columns.places().map(|(column, ..)| column.head()).collect()
    }

    fn widths(columns: &Columns) -> Vec<usize> {
        columns.places().map(|(_, _, width)| width).collect()
    }

    #[test]
    fn a_column_is_cut_only_where_none_beside_it_is_blank() {
        let columns = fit(80, 37, 3, 3);
        assert_eq!(shown(&columns)[..3], ["type", "resource", "actor"]);
        assert_eq!(widths(&columns)[..3], [37, 8, 5], "the type is whole, since the others leave room");
    }

    #[test]
    fn the_widest_are_cut_to_one_width() {
        assert_eq!(widths(&fit(80, 20, 60, 60)), [20, 20, 20]);
        assert_eq!(widths(&fit(81, 20, 60, 60)), [20, 21, 20]);
        assert_eq!(widths(&fit(80, 60, 60, 16)), [24, 20, 16], "and the type last");
        assert_eq!(widths(&fit(80, 60, 60, 60)), [24, 18, 18]);
    }

    #[test]
    fn columns_come_with_the_width() {
        let at = |width| shown(&fit(width, 20, 30, 40));
        assert_eq!(at(60), ["type", "resource", "actor"]);
        assert_eq!(at(80), ["type", "resource", "actor"]);
        assert_eq!(at(100), ["type", "resource", "actor", "Δ", "action"]);
        assert_eq!(at(120), ["type", "resource", "actor", "address", "Δ", "action"]);
        assert_eq!(at(160)[6..], ["session", "request"]);
        assert_eq!(shown(&fit(80, 9, 9, 9))[3..], ["address", "Δ", "action"], "earlier where they fit");
    }

    #[test]
    fn chosen_columns_come_first_in_their_order_and_unwanted_ones_never() {
        let chosen = ColumnChoice::of_line("actor +elapsed type -resource +session");
        let columns = Columns::fit(80, chosen.columns(), 0, |_| 8);
        assert_eq!(shown(&columns)[..4], ["actor", "Δt", "type", "session"]);
        assert!(!shown(&columns).contains(&"resource"));
        assert_eq!(shown(&fit(180, 20, 30, 40))[0], "Δt", "where there is room");
    }

    #[test]
    fn a_frozen_column_stands_first_and_uncut_whatever_the_width() {
        let frozen = |width| chosen("=resource", width, 0, [60, 40, 30]);
        assert_eq!(shown(&frozen(120))[..3], ["resource", "type", "actor"]);
        for width in [60, 80, 100, 120] {
            assert_eq!((shown(&frozen(width))[0], widths(&frozen(width))[0]), ("resource", 40), "{width}");
        }
        assert_eq!(shown(&frozen(62)), ["resource"], "others do without rather than be a few letters");
        assert_eq!(widths(&frozen(40)), [22], "all the room there is");
        let two = chosen("=actor =type", 80, 0, [30, 60, 20]);
        assert_eq!((shown(&two), widths(&two)), (vec!["actor", "type", "resource"], vec![20, 30, 10]));
    }

    #[test]
    fn columns_are_scrolled_away_from_the_left_but_frozen_ones() {
        let of = |line: &str, scrolled| shown(&chosen(line, 80, scrolled, [30, 40, 30]));
        assert_eq!(of("", 0), ["type", "resource", "actor"]);
        assert_eq!(of("", 1), ["resource", "actor"]);
        assert_eq!(of("", 2), ["actor", "address", "Δ", "action"]);
        assert_eq!(of("", 3), ["address", "Δ", "action", "session", "request"]);
        assert_eq!(of("=type", 1), ["type", "actor"]);
        assert_eq!(of("=type", 2), ["type", "address", "Δ", "action"]);
        // The last one stays.
        let most = Columns::most_scrolled(80, ColumnChoice::of_line("=type").columns(), |_| 6);
        assert_eq!((most, of("=type", 99)), (7, vec!["type", "request"]));
        assert_eq!(chosen("=type", 80, 1, [9, 9, 9]).scrolled, Some(1));
        assert_eq!(chosen("=type", 80, 0, [9, 9, 9]).scrolled, None);
    }

    #[test]
    fn what_no_row_has_is_no_column() {
        assert_eq!(shown(&Columns::fit(200, ColumnChoice::default().columns(), 0, |_| 0)), ["Δ"]);
    }

    #[test]
    fn columns_never_need_more_than_there_is() {
        for width in 0..400 {
            for widths in [[90, 90, 90], [1, 1, 1], [90, 1, 30]] {
                for (line, scrolled) in [("", 0), ("=resource", 0), ("=actor =type", 1), ("+address", 3)] {
                    let columns = chosen(line, width, scrolled, widths);
                    let end = columns.places().map(|(_, x, width)| x + width).max().unwrap_or(0);
                    assert!(end <= width.max(LEFT + 8), "{width}: {columns:?}");
                }
            }
        }
    }
}
