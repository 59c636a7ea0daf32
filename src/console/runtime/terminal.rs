//! The terminal: taken over as a whole, given back as a whole, whatever happens.

use crate::console::app::model::Model;
use crate::console::runtime::frames::Frames;
use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use std::io::{self, BufWriter, Stdout, Write as _};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

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

/// The real terminal, from its making until it is dropped.
#[derive(Debug)]
pub(crate) struct TerminalScreen {
    frames: Frames<BufWriter<Stdout>>,
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
        Ok(Self { frames: Frames::new(BufWriter::with_capacity(1 << 16, io::stdout())) })
    }
}

impl Drop for TerminalScreen {
    fn drop(&mut self) {
        give_back();
    }
}

impl Screen for TerminalScreen {
    fn draw(&mut self, model: &Model) -> io::Result<()> {
        self.frames.draw(model)
    }

    fn forget(&mut self) {
        self.frames.forget();
    }

    fn suspend(&mut self) -> io::Result<()> {
        give_back();
        stop_process_group();
        self.resume()
    }

    fn copy(&mut self, text: &str) -> io::Result<()> {
        execute!(self.frames.out, CopyToClipboard::to_clipboard_from(text))
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
