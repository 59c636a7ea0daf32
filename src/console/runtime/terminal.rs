//! The terminal: taken over as a whole, given back as a whole, whatever happens.

use crate::console::app::model::Model;
use crate::console::app::view::render;
use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Stdout, Write as _};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use unicode_width::UnicodeWidthStr as _;

/// Where frames go. The runtime is tested with one that has no terminal.
pub(crate) trait Screen {
    /// Shows the model.
    fn draw(&mut self, model: &Model) -> io::Result<()>;

    /// Forgets what is on the screen: the next frame is drawn whole.
    fn forget(&mut self);

    /// Gives the terminal back and stops the program until it is continued.
    fn suspend(&mut self) -> io::Result<()>;

    /// Gives the terminal a text for the clipboard (OSC 52). Whether it takes it, terminals do not say.
    fn copy(&mut self, text: &str) -> io::Result<()>;

    /// Takes the terminal again after the program was continued.
    fn resume(&mut self) -> io::Result<()>;
}

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)
}

/// Gives the terminal back; does nothing when it is not ours. As this also runs in a panic and when the terminal is
/// gone, failures are passed over: there is nobody to tell.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let mut out = io::stdout();
        let _ =
            execute!(out, EndSynchronizedUpdate, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
        let _ = out.flush();
    }
}

/// The frames that go to a terminal: of each what differs from the one before, as one update.
#[derive(Debug)]
pub(crate) struct Frames<W: io::Write> {
    terminal: Terminal<CrosstermBackend<W>>,
    /// What is on the screen is not what was drawn last.
    forgotten: bool,
    /// Lines of the last frame with characters of disputed width.
    disputed: BTreeMap<u16, Vec<Cell>>,
}

/// The real terminal, from its making until it is dropped.
#[derive(Debug)]
pub(crate) struct TerminalScreen {
    frames: Frames<BufWriter<Stdout>>,
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

impl TerminalScreen {
    /// Takes the terminal over. From now on a panic of this thread gives it back before it is reported; panics of
    /// tasks leave it alone, because the console goes on and shows them.
    ///
    /// # Errors
    /// When there is no terminal.
    pub(crate) fn take() -> io::Result<Self> {
        restore_on_panic();
        take().inspect_err(|_| give_back())?;
        // A frame is written in one go.
        let backend = CrosstermBackend::new(BufWriter::with_capacity(1 << 16, io::stdout()));
        let terminal = Terminal::new(backend).inspect_err(|_| give_back())?;
        Ok(Self { frames: Frames::new(terminal) })
    }
}

impl Drop for TerminalScreen {
    fn drop(&mut self) {
        give_back();
    }
}

impl<W: io::Write> Frames<W> {
    fn new(terminal: Terminal<CrosstermBackend<W>>) -> Self {
        Self { terminal, forgotten: false, disputed: BTreeMap::new() }
    }

    /// The frames of a terminal of a size that does not change.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub(crate) fn of_size(out: W, (width, height): (u16, u16)) -> io::Result<Self> {
        let viewport = Viewport::Fixed(Rect { x: 0, y: 0, width, height });
        Terminal::with_options(CrosstermBackend::new(out), TerminalOptions { viewport }).map(Self::new)
    }

    /// Writes the frame of the model.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn draw(&mut self, model: &Model) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        if std::mem::take(&mut self.forgotten) {
            // As `Terminal::clear`, which would ask the terminal for the cursor and lose keys with the answer.
            let size = self.terminal.size()?;
            self.terminal.resize(Rect::new(0, 0, size.width, size.height))?;
            self.disputed.clear();
        }
        let mut cursor = None;
        let drawn = self.terminal.draw(|frame| {
            cursor = render(model, frame.buffer_mut());
            if let Some(at) = cursor {
                frame.set_cursor_position(at);
            }
        })?;
        let mut lines = disputed_lines(drawn.buffer, &self.disputed);
        let changed = lines.iter().filter(|(y, cells)| self.disputed.get(y) != Some(cells));
        let cells: Vec<_> = changed.flat_map(|(y, cells)| in_order(*y, cells)).collect();
        if !cells.is_empty() {
            self.terminal.backend_mut().draw(cells.into_iter())?;
            if let Some(at) = cursor {
                self.terminal.set_cursor_position(at)?;
            }
        }
        lines.retain(|_, cells| cells.iter().any(is_disputed));
        self.disputed = lines;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }
}

impl Screen for TerminalScreen {
    fn draw(&mut self, model: &Model) -> io::Result<()> {
        self.frames.draw(model)
    }

    fn forget(&mut self) {
        self.frames.forgotten = true;
    }

    fn suspend(&mut self) -> io::Result<()> {
        give_back();
        stop_process_group();
        self.resume()
    }

    fn copy(&mut self, text: &str) -> io::Result<()> {
        execute!(self.frames.terminal.backend_mut(), CopyToClipboard::to_clipboard_from(text))
    }

    fn resume(&mut self) -> io::Result<()> {
        self.forget();
        take()
    }
}

/// As the terminal driver does it for Ctrl-z: everybody in the group, so that a shell behind `cargo run` notices, too.
/// In a group that nobody could continue the kernel ignores the signal, and the console simply goes on.
#[cfg(unix)]
fn stop_process_group() {
    let _ = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
}

#[cfg(not(unix))]
fn stop_process_group() {}

fn restore_on_panic() {
    let ui = thread::current().id();
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // Tasks may run on this thread too, where the runtime has no other.
        let of_a_task = tokio::task::try_id().is_some() || thread::current().id() != ui;
        if of_a_task && TAKEN.load(Ordering::SeqCst) {
            tracing::error!(%info, "a task panicked");
        } else {
            give_back();
            report(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

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
