//! Everything the console knows. Changed by `update` only, drawn by `render`.

use crate::case::labels::Labels;
use crate::config::Span;
use crate::console::case::books::Books;
use crate::console::case::pane::CasePage;
use crate::console::change::pane::ChangePane;
use crate::console::core::clock::Moment;
use crate::console::core::keymap::{Context, Keymap};
use crate::console::core::layout::{Areas, Focus, Wish, areas, below_title};
use crate::console::core::tasks::{PAGES, Slot, Slots};
use crate::console::core::view_stack::{History, Tabs};
use crate::console::dialogs::organizations::Organizations;
use crate::console::dialogs::{Dialog, Overlay};
use crate::console::event::pane::{EventPane, Setting};
use crate::console::event::tree_pane::TreePane;
use crate::console::export::progress::Progress as Exporting;
use crate::console::filter_bar::pane::FilterLine;
use crate::console::filter_bar::search_prompt::Sought;
use crate::console::ghosts::pane::GhostPane;
use crate::console::integrity::findings::{self, FindingsPage};
use crate::console::integrity::row_marks::Marks;
use crate::console::integrity::selected_event::IntegrityPane;
use crate::console::integrity::trails;
use crate::console::integrity::trails::{Trails, Verified};
use crate::console::restore::keeper::Keeper;
use crate::console::timeline::column_choice::ColumnChoice;
use crate::console::timeline::pane::Timeline;
use crate::console::timeline::task::Progress as Reading;
use crate::console::widgets::highlight::Needles;
use crate::console::widgets::picker::Picker;
use crate::console::widgets::theme::Theme;
use crate::console::widgets::time_zone::Zone;
use crate::domain::{EventRow, OrgId, Safe, Timestamp};
use crate::filter::Filter;
use crate::store::ServerFacts;
use std::sync::Arc;
use std::time::Duration;

/// How long a notice stays.
pub(crate) const NOTICE: Duration = Duration::from_secs(5);

/// Within this time a second Ctrl-c leaves.
pub(crate) const TWICE: Duration = Duration::from_secs(2);

/// How often an idle console looks whether the server still answers.
pub(crate) const PULSE: Duration = Duration::from_millis(2_500);

/// Work that is done sooner is not announced: the words would only flicker.
pub(crate) const PATIENCE: Duration = Duration::from_millis(150);

/// Time between two pictures of the spinner.
const SPIN: Duration = Duration::from_millis(120);

/// What does not change while the console runs.
#[derive(Debug)]
pub(crate) struct Setup {
    /// What people call the target.
    pub(crate) label: Safe,
    /// It is a production database.
    pub(crate) production: bool,
    /// It lives on the private server, which can be started again.
    pub(crate) private_server: bool,
    /// Length of the default window.
    pub(crate) window: Span,
    /// The machine's zone.
    pub(crate) local: Zone,
    /// Its IANA name, by which filters know it; `UTC` where it has none.
    pub(crate) local_name: String,
    /// Keys.
    pub(crate) keymap: Keymap,
    /// Colours.
    pub(crate) theme: Theme,
    /// Under which name findings are accepted and notes are written.
    pub(crate) user: String,
    /// Name of the case.
    pub(crate) case: String,
    /// The mask is on from the beginning.
    pub(crate) masked: bool,
    /// What ids and networks are called here.
    pub(crate) labels: Arc<Labels>,
    /// What names the target on a command line.
    pub(crate) flags: Vec<String>,
    /// The terminal is a pane of tmux, which may keep texts for the clipboard to itself.
    pub(crate) in_tmux: bool,
}

/// Whether there is a database behind the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Connection {
    /// The first attempt is under way.
    Connecting,
    /// Connected.
    Up,
    /// Not any more, or not yet.
    Lost {
        /// Since when.
        since: Timestamp,
        /// How often connecting was tried.
        attempts: u32,
        /// When it is tried again; `None` while it is being tried, and where trying again cannot help.
        retry_at: Option<Duration>,
        /// Why.
        reason: Safe,
    },
}

/// What has the place of all panes.
#[derive(Debug)]
pub(crate) enum Page {
    /// The selected event as a tree.
    Tree(Box<TreePane>),
    /// Ghost changes.
    Ghosts,
    /// The findings of the trail.
    Findings(Box<FindingsPage>),
    /// What runs.
    Tasks(Picker),
    /// What stands in the case.
    Case(Box<CasePage>),
}

/// A remark that goes away by itself.
#[derive(Debug)]
pub(crate) struct Notice {
    /// The remark.
    pub(crate) text: Safe,
    /// When it goes.
    pub(crate) until: Duration,
}

/// The state of the console.
#[derive(Debug)]
pub(crate) struct Model {
    /// What does not change.
    pub(crate) setup: Setup,
    /// Columns and lines of the screen.
    pub(crate) size: (u16, u16),
    /// The time of the last message.
    pub(crate) at: Moment,
    /// The zone of times in the timeline.
    pub(crate) zone: Zone,
    /// The database.
    pub(crate) connection: Connection,
    /// Version, database and role, once connected.
    pub(crate) server: Option<ServerFacts>,
    /// Running work.
    pub(crate) slots: Slots,
    /// Visited views.
    pub(crate) history: History,
    /// The other tabs.
    pub(crate) tabs: Tabs,
    /// The organisation and filter to begin with.
    pub(crate) wanted: (Option<OrgId>, String, Filter),
    /// E-mail addresses, network addresses and secrets are covered.
    pub(crate) masked: bool,
    /// The list of events.
    pub(crate) timeline: Timeline,
    /// Its columns, as the user wants them.
    pub(crate) columns: ColumnChoice,
    /// What is known of its rows.
    pub(crate) marks: Marks,
    /// What is known of the selected event.
    pub(crate) integrity: IntegrityPane,
    /// What is known of whole trails.
    pub(crate) trails: Trails,
    /// What was said of events.
    pub(crate) case: Books,
    /// How far the running export has come.
    pub(crate) exporting: Option<Exporting>,
    /// What the event changed.
    pub(crate) change: ChangePane,
    /// The event.
    pub(crate) event: EventPane,
    /// The filter line.
    pub(crate) filter: FilterLine,
    /// What was last looked for in a view.
    pub(crate) sought: Option<Sought>,
    /// The chooser.
    pub(crate) organizations: Organizations,
    /// The last search for ghost changes.
    pub(crate) ghosts: Option<GhostPane>,
    /// What has the place of the panes.
    pub(crate) page: Option<Page>,
    /// What lies on top.
    pub(crate) overlay: Option<Overlay>,
    /// The pane with the keys.
    pub(crate) focus: Focus,
    /// The pane about the event that had them last.
    pub(crate) detail: Focus,
    /// The pane with the keys has the whole screen.
    pub(crate) zoomed: bool,
    /// What has to be read before anything of the table is: it stays until a key.
    pub(crate) banner: Vec<Safe>,
    /// There was such a banner in this session.
    pub(crate) warned: bool,
    /// Why the console is not to be used here.
    pub(crate) refused: Option<Safe>,
    /// A remark.
    pub(crate) notice: Option<Notice>,
    /// Until when a Ctrl-c leaves.
    pub(crate) leave_until: Option<Duration>,
    /// What was put down of where the console is.
    pub(crate) keeper: Keeper,
    /// When the server is looked at next.
    pub(crate) pulse_at: Duration,
    /// The screen is not up to date.
    pub(crate) dirty: bool,
}

impl Model {
    /// A console that has not connected yet.
    pub(crate) fn new(setup: Setup, at: Moment, wanted: (Option<OrgId>, String, Filter)) -> Self {
        let event = EventPane::with(Arc::clone(&setup.labels));
        Self {
            masked: setup.masked,
            setup,
            size: (0, 0),
            at,
            zone: Zone::Utc,
            connection: Connection::Connecting,
            server: None,
            slots: Slots::default(),
            history: History::default(),
            tabs: Tabs::default(),
            wanted,
            timeline: Timeline::default(),
            columns: ColumnChoice::default(),
            marks: Marks::default(),
            integrity: IntegrityPane::default(),
            trails: Trails::default(),
            case: Books::default(),
            exporting: None,
            change: ChangePane::default(),
            event,
            filter: FilterLine::default(),
            sought: None,
            organizations: Organizations::default(),
            ghosts: None,
            page: None,
            overlay: None,
            focus: Focus::default(),
            detail: Focus::Change,
            zoomed: false,
            banner: Vec::new(),
            warned: false,
            refused: None,
            notice: None,
            leave_until: None,
            keeper: Keeper::default(),
            pulse_at: PULSE,
            dirty: true,
        }
    }

    /// Where everything is on the screen.
    pub(crate) fn areas(&self) -> Areas {
        let wish = Wish {
            filter_height: self.filter.height(self.listed().is_some(), self.size),
            focus: self.focus,
            detail: self.detail,
            zoomed: self.zoomed,
            needed: [self.change.needed(), self.event.needed()],
            strip: self.timeline.strip.is_shown(),
        };
        areas(self.size.0, self.size.1, wish)
    }

    /// Gives a pane the keys. A pane about the event fetches what it shows without waiting.
    pub(crate) fn focus_on(&mut self, pane: Focus) {
        self.focus = pane;
        if pane != Focus::Timeline {
            self.detail = pane;
            self.event.hurry(self.at.clock);
        }
    }

    /// Tells the panes their sizes. To be called whenever [`Self::areas`] may have changed.
    pub(crate) fn lay_out(&mut self) {
        let areas = self.areas();
        if let Some(area) = areas.timeline {
            self.timeline.set_height(usize::from(below_title(area).height));
        }
        let change = areas.change.map(below_title).unwrap_or_default();
        self.change.set_size(usize::from(change.width), usize::from(change.height));
        let page = below_title(areas.body());
        if let Some(Page::Findings(list)) = &mut self.page {
            list.set_standing(findings::standing(&self.trails, &list.organization, &self.setup.keymap));
        }
        match (&mut self.page, &mut self.ghosts) {
            (Some(Page::Tree(tree)), _) => {
                tree.set_size(usize::from(page.width), usize::from(page.height));
            }
            (Some(Page::Case(list)), _) => {
                list.set_size(usize::from(page.width), usize::from(page.height), self.zone);
            }
            (Some(Page::Findings(list)), _) => {
                list.set_size(usize::from(page.width), usize::from(page.height), self.zone);
            }
            (Some(Page::Ghosts), Some(list)) => {
                list.set_size(usize::from(page.width), usize::from(page.height), self.zone);
            }
            _ => {}
        }
        if let Some(area) = areas.event {
            let area = below_title(area);
            let setting = self.setting();
            self.event.set_size(usize::from(area.width), usize::from(area.height), setting);
        }
    }

    /// What the event pane needs to know.
    pub(crate) fn setting(&self) -> Setting {
        Setting { zone: self.zone, local: self.setup.local, now: self.at.wall }
    }

    /// What keys mean at the moment.
    pub(crate) fn context(&self) -> Context {
        match &self.overlay {
            Some(overlay) => overlay.context(),
            None if self.filter.is_editing() => Context::Editor,
            None if self.timeline.strip.brushes() => Context::Brush,
            None if matches!(self.page, Some(Page::Tree(_))) => Context::Tree,
            None if matches!(self.page, Some(Page::Tasks(_))) => Context::Tasks,
            None => Context::Pane,
        }
    }

    /// Shows a remark for a while.
    pub(crate) fn notify(&mut self, text: Safe) {
        self.notice = Some(Notice { text, until: self.at.clock + NOTICE });
    }

    /// Shows why answers are not shared.
    pub(crate) fn note_cache_trouble(&mut self, trouble: Option<&str>) {
        if let Some(trouble) = trouble {
            self.notify(Safe::composed(&format!("the shared cache is not used: {trouble}")));
        }
    }

    /// Whether the rows at hand belong to the current view, and not to the one before.
    pub(crate) fn shows_current_place(&self) -> bool {
        match (&self.timeline.query, self.history.current()) {
            (Some(query), Some(place)) => {
                *query.scope.organization() == place.organization && query.filter == place.filter
            }
            (query, _) => query.is_none(),
        }
    }

    /// What the filter of the view and the last search look for.
    pub(crate) fn needles(&self) -> Needles {
        let sought = self.sought.as_ref().map(Sought::filter);
        Needles::of(self.history.current().map(|place| &place.filter).into_iter().chain(&sought))
    }

    /// Organisation and filter that a command can list: of the filter line while it is edited, else of the view; `None`
    /// without a filter, and for one that asks what only this session knows.
    pub(crate) fn listed(&self) -> Option<(&str, &str)> {
        let organization = self.organization()?.as_str();
        let (text, filter) = match self.filter.text() {
            Some(text) => (text, self.filter.meaning()?),
            None => self.history.current().map(|place| (place.text.as_str(), &place.filter))?,
        };
        (!text.trim().is_empty() && !filter.asks_the_session()).then_some((organization, text))
    }

    /// The organisation looked at.
    pub(crate) fn organization(&self) -> Option<&OrgId> {
        self.history.current().map(|place| &place.organization)
    }

    /// The report of a trail whose age is on the screen.
    fn report_on_screen(&self) -> Option<&Verified> {
        // In the header or in its own pane.
        if usize::from(self.size.0) < trails::WIDE {
            self.areas().integrity?;
        }
        self.trails.report(self.organization()?)
    }

    /// The times whose ages are on the screen: of a report, of a number that was counted earlier, of what
    /// a dialog shows.
    fn ages(&self) -> impl Iterator<Item = Timestamp> {
        let dialog = self.overlay.as_ref().and_then(|dialog| dialog.since());
        let counted = self.areas().timeline.and_then(|_| self.timeline.counted());
        let report = self.report_on_screen().map(|verified| verified.at);
        [dialog, counted, report].into_iter().flatten()
    }

    /// Puts a dialog on the screen.
    pub(crate) fn show(&mut self, dialog: impl Dialog) {
        self.overlay = Some(dialog.into());
    }

    /// The dialog that is open, if it is one of this kind.
    pub(crate) fn dialog<D: Dialog>(&self) -> Option<&D> {
        self.overlay.as_ref()?.get()
    }

    /// The same, to be changed.
    pub(crate) fn dialog_mut<D: Dialog>(&mut self) -> Option<&mut D> {
        self.overlay.as_mut()?.get_mut()
    }

    /// Whether something on the screen grows old.
    pub(crate) fn shows_age(&self) -> bool {
        self.ages().next().is_some()
    }

    /// Rows on the screen of which it is not known whether they fit their hashes, and which may be looked at: not
    /// after a failure, until the next movement.
    pub(crate) fn unmarked(&self) -> impl Iterator<Item = &EventRow> {
        let areas = self.areas();
        let seen = areas.timeline.is_some() || areas.integrity.is_some();
        let looking = seen && self.marks.trouble.is_none() && self.shows_current_place();
        let rows = self.timeline.visible().map(|row| &row.event);
        rows.filter(move |row| looking && self.marks.of(row).is_none())
    }

    /// The work worth mentioning, with its picture of the spinner.
    pub(crate) fn activity(&self) -> Option<(&'static str, &'static str)> {
        const PICTURES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
        let (since, text) = self.visible_work().find(|(since, _)| self.at.clock >= *since + PATIENCE)?;
        let turn = (self.at.clock.saturating_sub(since).as_millis() / SPIN.as_millis()) as usize;
        Some((PICTURES[turn % PICTURES.len()], text))
    }

    /// How far a page has come that takes reading the whole table, or a search for a gap.
    pub(crate) fn reading(&self) -> Option<Safe> {
        let slots: &[Slot] = match self.timeline.reading? {
            Reading::Page { .. } => &PAGES,
            Reading::Gap { .. } => &[Slot::Find],
        };
        let runs = slots.iter().any(|slot| self.slots.running(*slot).is_some());
        self.timeline.reading.filter(|_| runs).map(|reading| reading.describe(self.zone))
    }

    fn visible_work(&self) -> impl Iterator<Item = (Duration, &'static str)> {
        Slot::ALL.iter().filter_map(|s| Some((self.slots.running(*s)?, s.activity()?)))
    }

    /// When something happens without anybody's doing: the spinner turns, a remark goes, the selection has rested, a
    /// connection is tried, the server is looked at. An idle console wakes every [`PULSE`] only.
    pub(crate) fn next_wake(&self) -> Duration {
        let clock = self.at.clock;
        let spin = self
            .visible_work()
            .map(|(since, _)| if clock < since + PATIENCE { since + PATIENCE } else { clock + SPIN });
        let retry = match self.connection {
            // The countdown on the screen.
            Connection::Lost { retry_at: Some(at), .. } => Some(at.min(clock + Duration::from_millis(500))),
            _ => None,
        };
        let connected = self.connection == Connection::Up;
        let integrity = self.areas().integrity.is_some();
        let ages = self.ages().map(|at| clock + trails::ages_in(at, self.at.wall));
        let pulse = (connected && self.slots.running(Slot::Pulse).is_none()).then_some(self.pulse_at);
        spin.chain(retry)
            .chain(pulse)
            .chain(self.notice.as_ref().map(|n| n.until))
            .chain(self.leave_until)
            .chain(self.event.due().filter(|_| connected))
            .chain(self.filter.due().filter(|_| connected))
            .chain(self.keeper.due().filter(|_| connected && self.slots.running(Slot::KeepPlace).is_none()))
            .chain(self.marks.due().filter(|_| connected))
            .chain(self.integrity.due().filter(|_| connected && integrity))
            .chain(ages)
            .min()
            .unwrap_or(clock + Duration::from_hours(1))
    }
}
