//! The console: a pure core (`update`, `render`) around a model, and one executor that runs what `update` asks for.
//!
//! A folder a feature; in each the same names: `pane` (state and drawing), `update` (keys and results), `task` (what the
//! executor runs), and dialogs. `app` joins them; `core` and `widgets` know nothing of features.
//!
//! | part | may | never |
//! |---|---|---|
//! | `update`, panes | change the model, return effects | IO, waiting, the clock |
//! | `app::view`, drawing of the panes | read the model, write into the buffer | change anything |
//! | `runtime::executor`, tasks | the store | the model |
//! | `runtime::{terminal, event_loop}` | the terminal, the clock | decisions |
//!
//! Text that is not the program's own reaches the buffer as [`crate::domain::Safe`] only.

pub(crate) mod app;
pub mod benchmark;
pub(crate) mod case;
pub(crate) mod change;
pub(crate) mod connection;
pub mod core;
pub(crate) mod dialogs;
pub(crate) mod event;
pub(crate) mod export;
pub(crate) mod filter_bar;
pub(crate) mod ghosts;
pub(crate) mod integrity;
pub(crate) mod lineage;
pub(crate) mod report;
pub(crate) mod restore;
pub(crate) mod runtime;
pub(crate) mod timeline;
pub(crate) mod widgets;

pub use crate::console::widgets::theme::ColorChoice;

use crate::case::labels::Labels;
use crate::case::{columns, lists};
use crate::config::{Span, Target};
use crate::console::app::model::{Model, Setup};
use crate::console::core::keymap::Keymap;
pub use crate::console::runtime::event_loop::Ended;
use crate::console::runtime::event_loop::{Clock, Runtime, Signal};
use crate::console::runtime::executor::Executor;
use crate::console::runtime::terminal::TerminalScreen;
use crate::console::timeline::column_choice::ColumnChoice;
use crate::console::widgets::theme::{Depth, Theme};
use crate::console::widgets::time_zone::Zone;
use crate::diff::{Options, Rules};
use crate::domain::{OrgId, Safe};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::investigation::activity::Activity;
use crate::store::ReadSettings;
use futures_util::{Stream, stream};
use std::io::IsTerminal as _;
use std::sync::Arc;

/// What the console begins with.
#[derive(Debug)]
pub struct Start {
    /// The database. A private server on it is kept running, and started again when it dies.
    pub target: Target,
    /// What names the database on a command line, for commands that are copied.
    pub flags: Vec<String>,
    /// Where steps are recorded.
    pub activity: Activity,
    /// Limits of the connections.
    pub settings: ReadSettings,
    /// How states are judged.
    pub rules: Rules,
    /// Which key does what.
    pub keymap: Keymap,
    /// The organisation to look at; a chooser opens without one, unless there is only one.
    pub organization: Option<OrgId>,
    /// Name of the case.
    pub case: String,
    /// Length of the default time window.
    pub window: Span,
    /// Whether the mask is on from the beginning.
    pub masked: bool,
    /// What ids and networks are called here.
    pub labels: Arc<Labels>,
    /// The filter to begin with.
    pub filter: Option<String>,
    /// Whether to colour.
    pub color: ColorChoice,
    /// Name of the theme; without one, dark or light as the terminal says.
    pub theme: Option<String>,
}

/// Runs the console until it is left or ended by a signal. The terminal is given back on every way out.
///
/// # Errors
/// Exit 2 for a filter or theme that cannot be used; exit 3 without a terminal, and when the terminal fails.
pub async fn run(start: Start) -> Result<Ended> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Error::could_not_run("the console needs a terminal")
            .hint("agenttrace events and agenttrace show are for scripts and pipes"));
    }
    // Emacs' shell, some editors' consoles: all of the screen's sequences would stand there as text.
    if std::env::var_os("TERM").is_some_and(|name| name == "dumb") {
        return Err(Error::could_not_run("TERM is 'dumb': a terminal that cannot show the console")
            .hint("agenttrace events and agenttrace show write plain lines"));
    }
    let _log = crate::console::runtime::logging::to_file()?;
    let text = start.filter.unwrap_or_default();
    let filter = Filter::parse_with(&text, &lists::read).map_err(|e| Error::usage(e.render(&text)))?;
    let setup = Setup {
        label: Safe::from_untrusted(&start.target.label),
        production: start.target.production,
        private_server: start.target.server.is_some(),
        window: start.window,
        local: Zone::Local,
        local_name: local_name(),
        keymap: start.keymap,
        theme: choose_theme(start.theme.as_deref(), start.color)?,
        user: crate::case::user(),
        case: start.case,
        flags: start.flags,
        masked: start.masked,
        labels: start.labels,
        in_tmux: std::env::var_os("TMUX").is_some_and(|v| !v.is_empty()),
    };
    let clock = Clock::start();
    let mut model = Model::new(setup, clock.now(), (start.organization, text, filter));
    let options = Options { rules: start.rules, ..Options::default() };
    let executor = Executor::new(start.target, start.settings, options, start.activity);
    let signals = signals()?;
    if let Ok(folder) = crate::case::folder() {
        model.columns = ColumnChoice::of_line(&columns::load(&folder.join(columns::FILE)));
    }
    model.size = crossterm::terminal::size()?;
    model.lay_out();
    let screen = TerminalScreen::take()?;
    // One stream for the whole run: a second one would take bytes from the first.
    let input = crossterm::event::EventStream::new();
    Box::pin(Runtime::new(model, screen, executor, clock).run(input, signals)).await
}

/// The zone of [`chrono::Local`] as filters name it.
fn local_name() -> String {
    let named = std::env::var("TZ").ok().map(|name| name.trim_start_matches(':').to_owned());
    let name = named.filter(|name| !name.is_empty()).or_else(|| iana_time_zone::get_timezone().ok());
    // A path, a POSIX rule such as CET-1CEST: none that a filter knows.
    name.filter(|name| Filter::parse(&format!("zone:{name}")).is_ok()).unwrap_or_else(|| "UTC".to_owned())
}

fn choose_theme(name: Option<&str>, color: ColorChoice) -> Result<Theme> {
    let environment = |name: &str| std::env::var(name).ok();
    let depth = Depth::detect(color, environment);
    let fallback =
        if crate::console::widgets::theme::light_background(environment) { "light" } else { "dark" };
    Theme::shipped(name.unwrap_or(fallback), depth).map_err(|e| Error::usage(e.to_string()))
}

#[cfg(unix)]
fn signals() -> Result<impl Stream<Item = Signal> + Unpin> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut leave = Vec::new();
    for kind in [SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()] {
        leave.push((u8::try_from(kind.as_raw_value()).unwrap_or_default(), signal(kind)?));
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut continued = signal(SignalKind::from_raw(libc::SIGCONT))?;
    Ok(stream::poll_fn(move |context| {
        let came = |s: &mut tokio::signal::unix::Signal, context: &mut _| s.poll_recv(context).is_ready();
        // Each is asked, so that each wakes the loop.
        let left = leave.iter_mut().filter_map(|(number, s)| came(s, context).then_some(*number)).min();
        if let Some(number) = left {
            std::task::Poll::Ready(Some(Signal::Leave(number)))
        } else if came(&mut interrupt, context) {
            std::task::Poll::Ready(Some(Signal::Interrupt))
        } else if came(&mut continued, context) {
            std::task::Poll::Ready(Some(Signal::Continued))
        } else {
            std::task::Poll::Pending
        }
    }))
}

#[cfg(not(unix))]
fn signals() -> Result<impl Stream<Item = Signal> + Unpin> {
    Ok(stream::pending())
}
