//! Frames as bytes for a terminal: of each what differs from the one before, as one update and in few bytes, since the
//! terminal may be far away.

use crate::console::app::model::Model;
use crate::console::app::view::render;
use crate::console::core::layout::below_title;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::ops::Range;
use unicode_width::UnicodeWidthStr as _;

/// A synchronized update: the terminal shows nothing of it before its end.
const BEGIN: &[u8] = b"\x1b[?2026h";
const END: &[u8] = b"\x1b[?2026l";

/// Up to this many cells that are as they should be are written once more where that takes fewer bytes than to pass over
/// them.
const BRIDGE: u16 = 4;

/// A frame of fewer bytes is not worth the search for rows that were moved.
const WORTH: usize = 1_500;

/// The frames that go to a terminal.
#[derive(Debug)]
pub(crate) struct Frames<W> {
    /// Where they go.
    pub(super) out: W,
    shown: Buffer,
    next: Buffer,
    /// What is on the screen is not what was shown last.
    forgotten: bool,
    /// The cursor is seen.
    has_cursor: bool,
    /// Lines of the last frame with characters of disputed width.
    disputed: BTreeMap<u16, Vec<Cell>>,
}

impl<W: io::Write> Frames<W> {
    /// The frames of a terminal of which nothing is known.
    pub(crate) fn new(out: W) -> Self {
        Self {
            out,
            shown: Buffer::empty(Rect::ZERO),
            next: Buffer::empty(Rect::ZERO),
            forgotten: true,
            has_cursor: false,
            disputed: BTreeMap::new(),
        }
    }

    /// What is on the screen is not what was shown last: the next frame is written whole.
    pub(super) fn forget(&mut self) {
        (self.forgotten, self.has_cursor) = (true, false);
    }

    /// Writes the frame of the model.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn draw(&mut self, model: &Model) -> io::Result<()> {
        let (width, height) = model.size;
        self.next.resize(Rect { x: 0, y: 0, width, height });
        self.next.reset();
        let cursor = render(model, &mut self.next);
        let list = model.areas().timeline.filter(|_| model.page.is_none() && model.overlay.is_none());
        let list = list.map(|area| {
            let rows = below_title(area);
            // Their heads stand still.
            rows.y + u16::from(model.timeline.has_heads())..rows.y + rows.height
        });
        self.write(list, cursor)
    }

    /// Writes what is to be shown next. The rows of `list` may have been moved by one.
    fn write(&mut self, list: Option<Range<u16>>, cursor: Option<Position>) -> io::Result<()> {
        self.out.write_all(BEGIN)?;
        if std::mem::take(&mut self.forgotten) || self.shown.area != self.next.area {
            self.out.write_all(b"\x1b[0m\x1b[2J")?;
            self.shown = Buffer::empty(self.next.area);
            self.disputed.clear();
        }
        let mut lines = disputed_lines(&self.next, &self.disputed);
        let mut best = changes(&self.shown, &self.next);
        if let (Some(list), true) =
            (list.filter(|list| list.len() > 2), lines.is_empty() && best.len() > WORTH)
        {
            for up in [true, false] {
                let mut moved = scroll(&list, up);
                moved.extend(changes(&scrolled(&self.shown, &list, up), &self.next));
                if moved.len() < best.len() {
                    best = moved;
                }
            }
        }
        self.out.write_all(&best)?;
        let changed = lines.iter().filter(|(y, cells)| self.disputed.get(y) != Some(cells));
        let mut pen = Pen::default();
        for (x, y, cell) in changed.flat_map(|(y, cells)| in_order(*y, cells)) {
            pen.go(x, y);
            pen.write(cell);
        }
        self.out.write_all(&pen.finish())?;
        lines.retain(|_, cells| cells.iter().any(is_disputed));
        self.disputed = lines;
        match cursor {
            Some(at) => {
                write!(self.out, "\x1b[{};{}H", at.y + 1, at.x + 1)?;
                if !std::mem::replace(&mut self.has_cursor, true) {
                    self.out.write_all(b"\x1b[?25h")?;
                }
            }
            None if std::mem::take(&mut self.has_cursor) => self.out.write_all(b"\x1b[?25l")?,
            None => {}
        }
        std::mem::swap(&mut self.shown, &mut self.next);
        self.out.write_all(END)?;
        self.out.flush()
    }
}

/// Moves the lines of a part of the screen by one, as every terminal can: a line feed at the end of a scrolling region, a
/// reverse one at its beginning.
fn scroll(lines: &Range<u16>, up: bool) -> Vec<u8> {
    let (first, last) = (lines.start + 1, lines.end);
    let step = if up { format!("\x1b[{last}H\n") } else { format!("\x1b[{first}H\x1bM") };
    format!("\x1b[{first};{last}r{step}\x1b[r").into_bytes()
}

/// The screen after that.
fn scrolled(shown: &Buffer, lines: &Range<u16>, up: bool) -> Buffer {
    let mut moved = shown.clone();
    let width = usize::from(shown.area.width);
    let (from, to) = (usize::from(lines.start) * width, usize::from(lines.end) * width);
    let Some(part) = moved.content.get_mut(from..to) else { return moved };
    let fresh = if up {
        part.rotate_left(width);
        part.len().saturating_sub(width)..part.len()
    } else {
        part.rotate_right(width);
        0..width
    };
    part.get_mut(fresh).into_iter().flatten().for_each(Cell::reset);
    moved
}

/// What makes the one screen the other. A line with wide characters, or where there were some, is written whole: what the
/// halves of those that go leave behind depends on the terminal.
fn changes(before: &Buffer, after: &Buffer) -> Vec<u8> {
    let width = usize::from(after.area.width).max(1);
    let lines = before.content.chunks(width).zip(after.content.chunks(width));
    let mut pen = Pen::default();
    for (y, (before, after)) in (0..).zip(lines).filter(|(_, (before, after))| before != after) {
        let is_wide = |cell: &Cell| !is_plain(cell.symbol()) && cell.symbol().width() != 1;
        let whole = before.iter().chain(after).any(is_wide);
        let mut covered = 0;
        for (at, (old, cell)) in before.iter().zip(after).enumerate() {
            if covered > 0 {
                covered -= 1;
            } else if whole || old != cell {
                let x = u16::try_from(at).unwrap_or(u16::MAX);
                if !pen.bridge(after, x, y) {
                    pen.go(x, y);
                }
                pen.write(cell);
                covered = cell.symbol().width().saturating_sub(1);
            }
        }
    }
    pen.finish()
}

/// Foreground, background and modifiers.
type Look = (Color, Color, Modifier);

const PLAIN: Look = (Color::Reset, Color::Reset, Modifier::empty());

/// Writes cells; begins and ends with plain text.
struct Pen {
    out: Vec<u8>,
    look: Look,
    /// Where the cursor of the terminal is.
    at: Option<(u16, u16)>,
    /// Since it was placed only such characters were written of which no terminal takes another width.
    sure: bool,
}

impl Default for Pen {
    fn default() -> Self {
        Self { out: Vec::new(), look: PLAIN, at: None, sure: false }
    }
}

impl Pen {
    /// Goes to a cell of a line by writing the few before it once more. False where that is not to be done.
    fn bridge(&mut self, cells: &[Cell], x: u16, y: u16) -> bool {
        let Some((from, line)) = self.at.filter(|_| self.sure) else { return false };
        if line != y || from >= x || x - from > BRIDGE {
            return false;
        }
        let cells = cells.get(usize::from(from)..usize::from(x)).unwrap_or_default();
        let as_it_is = |cell: &Cell| look(cell) == self.look && is_plain(cell.symbol());
        let is_free = cells.iter().all(as_it_is);
        if is_free {
            for cell in cells {
                self.out.extend(cell.symbol().as_bytes());
            }
            self.at = Some((x, y));
        }
        is_free
    }

    /// Places the cursor.
    fn go(&mut self, x: u16, y: u16) {
        match self.at {
            Some(at) if at == (x, y) => return,
            Some((from, line)) if self.sure && line == y && from < x => {
                self.out.extend(format!("\x1b[{}C", x - from).as_bytes());
            }
            _ => {
                self.out.extend(format!("\x1b[{};{}H", y + 1, x + 1).as_bytes());
                self.sure = true;
            }
        }
        self.at = Some((x, y));
    }

    fn write(&mut self, cell: &Cell) {
        self.become_of(look(cell));
        let symbol = cell.symbol();
        self.out.extend(symbol.as_bytes());
        self.sure &= is_plain(symbol);
        self.at = self.at.filter(|_| symbol.width() == 1).map(|(x, y)| (x + 1, y));
    }

    fn become_of(&mut self, look: Look) {
        if look == self.look {
            return;
        }
        let mut codes = String::new();
        // What is switched off takes everything with it: that is shorter than one code for each.
        let (mut foreground, mut background, mut modifiers) = self.look;
        if !look.2.contains(modifiers) || look == PLAIN {
            (foreground, background, modifiers) = PLAIN;
            codes.push_str("0;");
        }
        look.2.difference(modifiers).iter().for_each(|modifier| codes.push_str(code_of(modifier)));
        if look.0 != foreground {
            color(&mut codes, 3, look.0);
        }
        if look.1 != background {
            color(&mut codes, 4, look.1);
        }
        codes.pop();
        self.out.extend(format!("\x1b[{codes}m").as_bytes());
        self.look = look;
    }

    fn finish(mut self) -> Vec<u8> {
        self.become_of(PLAIN);
        self.out
    }
}

fn look(cell: &Cell) -> Look {
    (cell.fg, cell.bg, cell.modifier)
}

/// Whether every terminal gives it one column.
fn is_plain(symbol: &str) -> bool {
    matches!(symbol.as_bytes(), [b' '..=b'~'])
}

/// The code that switches a modifier on.
fn code_of(modifier: Modifier) -> &'static str {
    match modifier {
        Modifier::BOLD => "1;",
        Modifier::DIM => "2;",
        Modifier::ITALIC => "3;",
        Modifier::UNDERLINED => "4;",
        Modifier::SLOW_BLINK => "5;",
        Modifier::RAPID_BLINK => "6;",
        Modifier::REVERSED => "7;",
        Modifier::HIDDEN => "8;",
        Modifier::CROSSED_OUT => "9;",
        _ => "",
    }
}

/// The code of a colour: `ground` is 3 for the text and 4 for what is behind it.
fn color(codes: &mut String, ground: u8, color: Color) {
    let number = match color {
        Color::Reset => None,
        Color::Rgb(red, green, blue) => {
            // Writing to a String cannot fail.
            let _ = write!(codes, "{ground}8;2;{red};{green};{blue};");
            return;
        }
        Color::Indexed(number) => Some(number),
        Color::Black => Some(0),
        Color::Red => Some(1),
        Color::Green => Some(2),
        Color::Yellow => Some(3),
        Color::Blue => Some(4),
        Color::Magenta => Some(5),
        Color::Cyan => Some(6),
        Color::Gray => Some(7),
        Color::DarkGray => Some(8),
        Color::LightRed => Some(9),
        Color::LightGreen => Some(10),
        Color::LightYellow => Some(11),
        Color::LightBlue => Some(12),
        Color::LightMagenta => Some(13),
        Color::LightCyan => Some(14),
        Color::White => Some(15),
    };
    let _ = match number {
        Some(number) => write!(codes, "{ground}8;5;{number};"),
        None => write!(codes, "{ground}9;"),
    };
}

/// Whether terminals do not agree on the columns of a cell: flags, keycaps, families, what U+FE0F makes an emoji. Where one
/// takes two columns for one, what stood in the second stays behind, since the difference of two frames does not touch it.
fn is_disputed(cell: &Cell) -> bool {
    // Shorter ones are one character.
    cell.symbol().len() > 4 && cell.symbol().width() == 2 && cell.symbol().chars().nth(1).is_some()
}

/// The lines of a frame with such cells, or where there were some.
fn disputed_lines(buffer: &Buffer, before: &BTreeMap<u16, Vec<Cell>>) -> BTreeMap<u16, Vec<Cell>> {
    let width = usize::from(buffer.area.width).max(1);
    let lines = (0..).zip(buffer.content().chunks(width));
    let disputed = lines.filter(|(y, cells)| before.contains_key(y) || cells.iter().any(is_disputed));
    disputed.map(|(y, cells)| (y, cells.to_vec())).collect()
}

/// All cells of a line in the order in which they are written: of one whose width is disputed first a blank where its second
/// half may or may not come.
fn in_order(y: u16, cells: &[Cell]) -> Vec<(u16, u16, &Cell)> {
    let mut order = Vec::with_capacity(cells.len());
    let mut columns = (0..).zip(cells);
    while let Some((x, cell)) = columns.next() {
        if cell.symbol().width() == 2
            && let Some((next, blank)) = columns.next()
            && is_disputed(cell)
        {
            order.push((next, y, blank));
        }
        order.push((x, y, cell));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::app::fixtures::Desk;
    use proptest::prelude::*;
    use ratatui::style::Style;

    const SIZE: (u16, u16) = (24, 10);

    /// What a terminal shows of a cell.
    fn seen(terminal: &vt100::Parser, x: u16, y: u16) -> (String, vt100::Color, vt100::Color, [bool; 5]) {
        let cell = terminal.screen().cell(y, x).unwrap();
        let text = if cell.has_contents() { cell.contents().to_owned() } else { " ".to_owned() };
        let flags = [cell.bold(), cell.dim(), cell.italic(), cell.underline(), cell.inverse()];
        (text, cell.fgcolor(), cell.bgcolor(), flags)
    }

    /// The same of a cell of a frame.
    fn wanted(cell: &Cell) -> (String, vt100::Color, vt100::Color, [bool; 5]) {
        let color = |color| match color {
            Color::Rgb(r, g, b) => vt100::Color::Rgb(r, g, b),
            Color::Indexed(n) => vt100::Color::Idx(n),
            Color::Red => vt100::Color::Idx(1),
            _ => vt100::Color::Default,
        };
        let flags =
            [Modifier::BOLD, Modifier::DIM, Modifier::ITALIC, Modifier::UNDERLINED, Modifier::REVERSED];
        let flags = flags.map(|flag| cell.modifier.contains(flag));
        (cell.symbol().to_owned(), color(cell.fg), color(cell.bg), flags)
    }

    fn agrees(terminal: &vt100::Parser, frame: &Buffer) {
        for y in 0..frame.area.height {
            let mut x = 0;
            while x < frame.area.width {
                let cell = &frame[(x, y)];
                assert_eq!(seen(terminal, x, y), wanted(cell), "column {x} of line {y}");
                x += u16::try_from(cell.symbol().width()).unwrap().max(1);
            }
        }
    }

    fn terminal((width, height): (u16, u16)) -> vt100::Parser {
        let size = |n: u16| std::num::NonZeroU16::new(n).unwrap();
        vt100::Parser::new(size(height), size(width), 0)
    }

    fn screen() -> impl Strategy<Value = Buffer> {
        let styles = [
            Style::new(),
            Style::new().fg(Color::Red),
            Style::new().fg(Color::Rgb(1, 2, 3)).add_modifier(Modifier::BOLD),
            Style::new().bg(Color::Indexed(7)).add_modifier(Modifier::REVERSED | Modifier::DIM),
            Style::new().add_modifier(Modifier::DIM),
        ];
        let texts = ["a", "bcd", "日", "✓ ok", "      ", "e\u{301}", "trace.created", "Δ3"];
        let piece = (
            0..SIZE.0,
            0..SIZE.1,
            prop::sample::select(texts.to_vec()),
            prop::sample::select(styles.to_vec()),
        );
        prop::collection::vec(piece, 0..60).prop_map(|pieces| {
            let mut frame = Buffer::empty(Rect { x: 0, y: 0, width: SIZE.0, height: SIZE.1 });
            for (x, y, text, style) in pieces {
                frame.set_string(x, y, text, style);
            }
            // What was written over the second half of a wide character is not seen.
            for at in 0..frame.content.len() {
                // The emulator knows one of them at a time.
                if frame.content[at].modifier.contains(Modifier::BOLD) {
                    frame.content[at].modifier.remove(Modifier::DIM);
                }
                if frame.content[at].symbol().width() == 2 {
                    frame.content[at + 1].reset();
                }
            }
            frame
        })
    }

    proptest! {
        /// Whatever stood there, and whatever is moved: the terminal shows the frame.
        #[test]
        fn a_terminal_shows_each_frame(
            frames in prop::collection::vec((screen(), any::<Option<bool>>()), 1..6), first in 0u16..4, last in 6u16..10
        ) {
            let mut terminal = terminal(SIZE);
            let mut before = Buffer::empty(Rect { x: 0, y: 0, width: SIZE.0, height: SIZE.1 });
            for (frame, moves) in frames {
                let list = first..last;
                let bytes = match moves {
                    None => changes(&before, &frame),
                    Some(up) => {
                        let moved = changes(&scrolled(&before, &list, up), &frame);
                        [scroll(&list, up), moved].concat()
                    }
                };
                terminal.process(&bytes);
                agrees(&terminal, &frame);
                before = frame;
            }
        }
    }

    #[test]
    fn a_list_that_moves_by_a_line_is_moved_by_the_terminal() {
        let mut desk = Desk::sized(100, 40, Some("acme"));
        desk.connect().opened(90, 0);
        let mut frames = Frames::new(Vec::new());
        let mut terminal = terminal((100, 40));
        let mut most = 0;
        for key in "j".repeat(45).chars().chain("k".repeat(40).chars()) {
            frames.out.clear();
            frames.draw(&desk.model).unwrap();
            terminal.process(&frames.out);
            agrees(&terminal, &frames.shown);
            desk.keys(&key.to_string());
            if key == 'j' && desk.model.timeline.top > 1 {
                most = most.max(frames.out.len());
            }
        }
        assert!((1..2_000).contains(&most), "{most} bytes");
        assert!(!terminal.screen().hide_cursor() || !frames.has_cursor);
    }

    #[test]
    fn a_blank_is_written_where_terminals_may_not_write_the_second_half() {
        let text = |buffer: &Buffer, before| -> Vec<(u16, Vec<(u16, String)>)> {
            let lines = disputed_lines(buffer, before);
            let written = |(y, cells): (&u16, &Vec<Cell>)| {
                let order = in_order(*y, cells);
                (*y, order.iter().map(|(x, _, cell)| (*x, cell.symbol().to_owned())).collect())
            };
            lines.iter().map(written).collect()
        };
        let none = BTreeMap::new();
        let buffer = Buffer::with_lines(["plain", "日a❤️b", "e\u{301}🇩🇪"]);
        let cell = |x: u16, symbol: &str| (x, symbol.to_owned());
        assert_eq!(
            text(&buffer, &none),
            [
                (1, vec![cell(0, "日"), cell(2, "a"), cell(4, " "), cell(3, "❤️"), cell(5, "b")]),
                (
                    2,
                    vec![
                        cell(0, "e\u{301}"),
                        cell(2, " "),
                        cell(1, "🇩🇪"),
                        cell(3, " "),
                        cell(4, " "),
                        cell(5, " ")
                    ]
                ),
            ]
        );
        // Where there was one, the line is written once more.
        let after = Buffer::with_lines(["plain", "日abcd", "x     "]);
        let lines = disputed_lines(&after, &disputed_lines(&buffer, &none));
        assert_eq!(lines.keys().copied().collect::<Vec<_>>(), [1, 2]);
    }
}
