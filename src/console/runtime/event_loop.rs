//! The loop: one message at a time, at most sixty frames a second, nothing at all when nothing happens.

use crate::case::{self, places};
use crate::console::app::message::{Effect, Effects, Event, Msg};
use crate::console::app::model::Model;
use crate::console::app::update::{start, update};
use crate::console::core::clock::Moment;
use crate::console::dialogs::copy_text::way_back;
use crate::console::runtime::context::aside;
use crate::console::runtime::executor::Executor;
use crate::console::runtime::terminal::Screen;
use crate::domain::Timestamp;
use crate::error::{Error, Kind, Result};
use chrono::Utc;
use crossterm::event::Event as Input;
use futures_util::{Stream, StreamExt as _};
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Least time between two frames.
const FRAME: Duration = Duration::from_millis(16);

/// Most keys taken in before the screen is drawn again.
const BURST: usize = 256;

/// What the operating system may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Leave in order: SIGTERM, SIGHUP, SIGQUIT, by their numbers.
    Leave(u8),
    /// SIGINT from elsewhere than the keyboard.
    Interrupt,
    /// The program was continued after it had been stopped.
    Continued,
}

/// How a console ended.
#[derive(Debug)]
pub struct Ended {
    /// How one comes back to the view.
    pub way_back: Option<String>,
    /// The signal that ended it.
    pub by: Option<Kind>,
}

/// A clock that starts with the console.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
}

impl Clock {
    /// Starts it.
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The present.
    pub(crate) fn now(self) -> Moment {
        Moment { wall: Timestamp::from(Utc::now()), clock: self.started.elapsed() }
    }
}

/// Forgets where this console was.
async fn forget_place() {
    // Without a folder there is nothing to forget.
    let _ = aside(|| case::folder().map(|folder| places::forget(&folder, std::process::id()))).await;
}

/// Model, screen and executor, joined by the loop.
#[derive(Debug)]
pub(crate) struct Runtime<S> {
    /// The state.
    pub(crate) model: Model,
    /// Where it is drawn.
    pub(crate) screen: S,
    executor: Executor,
    clock: Clock,
    drawn: Option<Instant>,
    /// The signal that ended the console.
    ended_by: Option<Kind>,
    /// The user has left.
    left: bool,
}

impl<S: Screen> Runtime<S> {
    /// A console that has not begun.
    pub(crate) fn new(model: Model, screen: S, executor: Executor, clock: Clock) -> Self {
        Self { model, screen, executor, clock, drawn: None, ended_by: None, left: false }
    }

    /// Runs until the user leaves, a signal says so, or `input` ends.
    ///
    /// # Errors
    /// When the terminal can no longer be read or written, and when the database is refused.
    pub(crate) async fn run(
        mut self,
        mut input: impl Stream<Item = io::Result<Input>> + Unpin,
        mut signals: impl Stream<Item = Signal> + Unpin,
    ) -> Result<Ended> {
        let first = start(&mut self.model);
        let mut goes_on = self.apply(first)?;
        while goes_on {
            self.draw_when_due()?;
            let frame = self.drawn.map_or_else(Instant::now, |t| t + FRAME);
            let wake = self.clock.started + self.model.next_wake();
            // Input before results: a flood of results must not hold up the keys.
            goes_on = tokio::select! {
                biased;
                signal = signals.next() => self.signal(signal)?,
                event = input.next() => self.take_in(event, &mut input).await?,
                () = sleep_until(frame), if self.model.dirty => true,
                what = self.executor.next(), if self.executor.is_busy() => self.message(what)?,
                () = sleep_until(wake) => self.message(Event::Tick)?,
            };
        }
        self.executor.close().await;
        // What ended otherwise is to be gone on with.
        if self.left {
            forget_place().await;
        }
        match &self.model.refused {
            Some(text) => Err(Error::new(Kind::Refused, text.as_str()).hint(
                "--as-superuser, or as_superuser in the profile, reads nevertheless; better is a role that is not a superuser",
            )),
            None => Ok(Ended { way_back: way_back(&self.model), by: self.ended_by }),
        }
    }

    fn draw_when_due(&mut self) -> io::Result<()> {
        if self.model.dirty && self.drawn.is_none_or(|t| t.elapsed() >= FRAME) {
            self.screen.draw(&self.model)?;
            self.model.dirty = false;
            self.drawn = Some(Instant::now());
        }
        Ok(())
    }

    fn signal(&mut self, signal: Option<Signal>) -> Result<bool> {
        match signal {
            Some(Signal::Interrupt) => {
                let goes_on = self.message(Event::Interrupt)?;
                self.ended_by = (!goes_on).then_some(Kind::Interrupted);
                Ok(goes_on)
            }
            Some(Signal::Continued) => {
                self.screen.resume()?;
                self.model.dirty = true;
                Ok(true)
            }
            Some(Signal::Leave(number)) => {
                self.ended_by = Some(Kind::Signal(number));
                Ok(false)
            }
            None => Ok(false),
        }
    }

    /// Takes in an event and what else is waiting. False when the terminal is gone.
    async fn take_in(
        &mut self,
        mut event: Option<io::Result<Input>>,
        input: &mut (impl Stream<Item = io::Result<Input>> + Unpin),
    ) -> Result<bool> {
        for _ in 0..BURST {
            let Some(this) = event else { return Ok(false) };
            let what = match this? {
                Input::Key(key) => Some(Event::Key(key)),
                Input::Paste(text) => Some(Event::Paste(text)),
                Input::Resize(width, height) => Some(Event::Resize(width, height)),
                Input::FocusGained | Input::FocusLost | Input::Mouse(_) => None,
            };
            if let Some(what) = what
                && !self.message(what)?
            {
                return Ok(false);
            }
            // With the waker of this task: crossterm keeps the first one it is given.
            match poll_fn(|context| Poll::Ready(input.poll_next_unpin(context))).await {
                Poll::Ready(next) => event = next,
                Poll::Pending => break,
            }
        }
        Ok(true)
    }

    fn message(&mut self, event: Event) -> Result<bool> {
        let effects = update(&mut self.model, Msg { at: self.clock.now(), event });
        self.apply(effects)
    }

    /// False when the console is to be left.
    fn apply(&mut self, effects: Effects) -> Result<bool> {
        for effect in effects {
            match effect {
                Effect::Quit => {
                    self.left = true;
                    return Ok(false);
                }
                Effect::Suspend => {
                    self.screen.suspend()?;
                    self.model.dirty = true;
                }
                Effect::Copy(text) => self.screen.copy(&text)?,
                Effect::Redraw => {
                    self.screen.forget();
                    self.model.dirty = true;
                }
                work => self.executor.run(work),
            }
        }
        Ok(true)
    }
}
