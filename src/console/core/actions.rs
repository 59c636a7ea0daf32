//! Everything a key can do: one table that keymap, help, footer, palette and the pages of keys are made from.

macro_rules! actions {
    ($($section:ident { $($action:ident $name:literal $short:literal $doc:literal $(($also:literal))?;)+ })+) => {
        /// Everything a key can do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action { $($(#[doc = $doc] $action,)+)+ }

        impl Action {
            /// All actions, in the order of help.
            pub const ALL: &'static [Self] = &[$($(Self::$action,)+)+];

            /// Its name in the keymap.
            pub const fn name(self) -> &'static str { match self { $($(Self::$action => $name,)+)+ } }

            /// One or two words for the footer.
            pub const fn short(self) -> &'static str { match self { $($(Self::$action => $short,)+)+ } }

            /// A sentence for help and README.
            pub const fn doc(self) -> &'static str { match self { $($(Self::$action => $doc,)+)+ } }

            /// What people call it who come from other programs, and whom the palette understands.
            pub const fn synonyms(self) -> &'static str {
                match self { $($(Self::$action => concat!("" $(, $also)?),)+)+ }
            }

            /// Where it is in force.
            pub const fn section(self) -> Section { match self { $($(Self::$action => Section::$section,)+)+ } }
        }
    };
}

actions! {
    Move {
        Down "down" "down" "next line (older event)";
        Up "up" "up" "previous line (newer event)";
        PageDown "page-down" "page" "next page" ("scroll");
        PageUp "page-up" "page back" "previous page";
        HalfDown "half-down" "half page" "half a page down";
        HalfUp "half-up" "half page back" "half a page up";
        First "first" "newest" "newest event; top of a text" ("top latest beginning");
        Last "last" "oldest" "oldest event; end of a text" ("bottom earliest");
        Open "open" "open" "open the selected event; choose" ("show view details");
        Cancel "cancel" "back" "undo the last thing: cancel what runs, end a blame or a zoom, else go back" ("abort stop escape");
    }
    Global {
        Filter "filter" "filter" "edit the filter" ("query where condition saved");
        Search "search" "search" "search this view (older events first)" ("find grep look text");
        NextHit "next-hit" "next match" "next match (older)";
        PreviousHit "previous-hit" "previous match" "previous match (newer)";
        NextCritical "next-critical" "next critical" "next critical event (older)" ("error severe alert");
        PreviousCritical "previous-critical" "previous critical" "previous critical event (newer)" ("error severe alert");
        NextWarning "next-warning" "next warning" "next warning or worse (older)" ("severity");
        PreviousWarning "previous-warning" "previous warning" "previous warning or worse (newer)" ("severity");
        NextBookmark "next-bookmark" "next bookmark" "next bookmarked event (older)" ("case");
        PreviousBookmark "previous-bookmark" "previous bookmark" "previous bookmarked event (newer)" ("case");
        NextOfSession "next-of-session" "same session" "next event of the same session, or request (older)" ("login request");
        PreviousOfSession "previous-of-session" "same session" "previous event of the same session, or request (newer)" ("login request");
        NextGap "next-gap" "next gap" "next gap (older)" ("silence pause quiet");
        PreviousGap "previous-gap" "previous gap" "previous gap (newer)" ("silence pause quiet");
        Include "include" "include" "filter to this value…" ("only keep");
        Exclude "exclude" "exclude" "exclude this value…" ("not hide without");
        Widen "widen" "add" "add events with this value to the view…" ("or union also together compare actors");
        Pivot "pivot" "pivot" "new view: all events with this value…" ("actor related drill session");
        Surroundings "surroundings" "context" "show surrounding events" ("around before after nearby");
        Organization "organization" "organisation" "choose the organisation" ("tenant org customer account");
        NextEvent "next-event" "next event" "next (older) event, also while reading one";
        PreviousEvent "previous-event" "previous event" "previous (newer) event, also while reading one";
        Timeline "timeline" "timeline" "timeline pane" ("list log events");
        Change "change" "change" "change pane" ("diff delta difference");
        Integrity "integrity" "integrity" "integrity pane" ("hash chain proof");
        Event "event" "event" "event pane" ("details fields record");
        Copy "copy" "copy" "copy…" ("yank clipboard share json");
        Export "export" "export" "export the view, marked events or the case to a file…" ("save file csv ndjson report evidence download");
        Layout "layout" "layout" "layout of the change: paths, unified, side by side, raw" ("diff format style");
        Mark "mark" "mark" "mark the event for comparison or verification" ("select pick");
        Bookmark "bookmark" "bookmark" "bookmark the event, or take the bookmark away" ("star flag mark");
        Note "note" "note" "write a note on the event…" ("comment annotate remark");
        Tag "tag" "tags" "tags of the event…" ("label");
        Verdict "verdict" "verdict" "your verdict on the event: malicious, suspicious, benign…" ("judge assess classify opinion");
        Case "case" "case" "the case: all events with a bookmark, a note or a tag" ("bookmarks notes tags list");
        Compare "compare" "compare" "compare with the marked event; again: with the previous state" ("diff versus");
        PreviousVersion "previous-version" "previous version" "previous version of this resource" ("revision");
        NextVersion "next-version" "next version" "next version of this resource" ("revision");
        FirstVersion "first-version" "first" "first version of this resource" ("created original");
        LastVersion "last-version" "last" "last version of this resource" ("current");
        Time "time" "time" "go to a time, or to the newest event of a day" ("goto date jump when");
        Blame "blame" "blame" "blame: who set each value" ("who author annotate owner");
        State "state" "state" "state of this resource after the event" ("history snapshot travel");
        Tree "tree" "tree" "tree of the event and its states" ("json raw expand structure");
        Verify "verify" "verify" "verify the marked rows, else those on the screen, large ones too" ("check validate integrity");
        VerifyAll "verify-all" "verify all" "verify the whole trail (again: stop)" ("check tamper integrity scan audit hash");
        Pause "pause" "pause" "pause or resume verification" ("hold resume continue");
        Throttle "throttle" "throttle" "limit verification speed" ("speed rate slow");
        Accept "accept" "accept" "accept this finding…" ("acknowledge ignore known");
        Findings "findings" "findings" "findings of the trail, and the last verifications" ("errors alerts problems issues broken");
        Ghosts "ghosts" "ghosts" "unexplained changes (\"ghosts\")…" ("gaps unlogged missing drift");
        NextFinding "next-finding" "next finding" "next finding";
        PreviousFinding "previous-finding" "previous finding" "previous finding";
        Tasks "tasks" "tasks" "tasks: what runs, for how long, how far it is" ("jobs running background progress stop processes queue");
        Plan "plan" "plan" "explain this view's query" ("sql query cost index performance");
        Columns "columns" "columns" "columns of the timeline…" ("choose order hide show fields width elapsed freeze pin");
        ColumnsRight "columns-right" "columns" "scroll the columns of the timeline: to those at the right" ("horizontal sideways");
        ColumnsLeft "columns-left" "columns back" "scroll the columns of the timeline back" ("horizontal sideways");
        Runs "runs" "runs" "runs of alike events on one line, or each event again" ("collapse group fold repeated dedup");
        Brush "brush" "brush" "select a part of the histogram strip over the timeline" ("zoom range select time histogram");
        Histogram "histogram" "histogram" "histogram: event counts over time; a bar narrows the view" ("chart graph plot counts");
        Summary "summary" "summary" "totals by severity, actor, type, address, resource …; a line narrows the view" ("statistics stats count top group aggregate");
        NextPane "next-pane" "next pane" "next pane; in totals the next group";
        PreviousPane "previous-pane" "previous pane" "previous pane; in totals the group before";
        Zoom "zoom" "zoom" "zoom this pane" ("fullscreen maximise maximize");
        Back "back" "back" "previous view" ("undo previous return");
        Forward "forward" "forward" "next view" ("redo");
        NewTab "new-tab" "new tab" "open this view in a new tab" ("tabnew window split");
        NextTab "next-tab" "next tab" "next tab" ("window switch");
        PreviousTab "previous-tab" "previous tab" "previous tab" ("window switch");
        Refresh "refresh" "refresh" "refresh" ("reload update newest");
        Mask "mask" "mask" "cover e-mail addresses, network addresses and secrets on the screen, or not" ("privacy screen sharing hide redact personal");
        Zone "zone" "UTC/local" "times in UTC or local time" ("timezone tz clock local utc");
        Palette "palette" "palette" "find an action by name" ("command actions");
        Help "help" "help" "help: all keys" ("keys shortcuts bindings manual");
        Quit "quit" "quit" "close this view; at the first one its tab; in the last tab, leave (asks while a scan runs or events are marked)" ("exit leave close bye");
    }
    Tree {
        Collapse "collapse" "fold" "fold, then parent";
        Expand "expand" "unfold" "unfold, then first child";
        ExpandAll "expand-all" "unfold all" "unfold everything below";
        CollapseAll "collapse-all" "fold all" "fold everything below";
        Levels "levels" "levels" "unfold to depth 0–9";
        FindPath "find-path" "path" "go to a path by some of its letters";
    }
    Editor {
        Submit "submit" "submit" "run the filter; run the action";
        Leave "leave" "cancel" "cancel";
        Clear "clear" "clear" "clear the line";
        Complete "complete" "complete" "complete the field or value; again: the next one";
        CompleteBack "complete-back" "complete back" "previous completion";
        HistoryBack "history-back" "history" "previous filter";
        HistoryForward "history-forward" "next" "next filter";
        SaveFilter "save-filter" "save" "save the filter under a name";
        SavedFilters "saved-filters" "saved" "choose a saved filter";
        HelpWhileTyping "help" "help" "help, while the filter is typed";
    }
    Copy {
        CopyRow "row" "row" "the event in one line";
        CopyValue "value" "value" "the value under the cursor of the change";
        CopyState "state" "state" "the state shown";
        CopyPatch "patch" "patch" "the change as JSON Patch (RFC 6902)";
        CopyRestore "restore" "restore" "the JSON Patch that undoes the change";
        CopyPath "path" "path" "the path of the value (JSON Pointer)";
        CopyCommand "command" "command" "the command that shows the event";
        CopyListing "listing" "listing" "the command that lists this view";
        CopyJson "json" "JSON" "the event as JSON, without its states";
    }
    Values {
        PickActor "actor" "actor" "the actor";
        PickResource "resource" "resource" "the resource";
        PickSession "session" "session" "the session";
        PickRequest "request" "request" "the request";
        PickAddress "address" "address" "the address";
        PickUserAgent "user-agent" "user agent" "the user agent";
        PickType "type" "type" "the event type";
        PickAction "verb" "action" "the action";
        PickCategory "category" "category" "the category";
        PickSeverity "severity" "severity" "the severity";
        PickProject "project" "project" "the project";
        PickActorLineage "actor-lineage" "lineage" "what the actor created, and what that did next";
        PickResourceLineage "resource-lineage" "lineage" "what the creation of the resource named, and what that did next";
        PickMention "mention" "mention" "in the change pane: events that mention the value under the cursor";
        PickSame "same" "same" "in the change pane: events with this value at this place";
        PickDeeds "value-actor" "did" "in the change pane: what the value under the cursor did, as an actor";
        PickFate "value-resource" "happened" "in the change pane: what happened to the value under the cursor, as a resource";
        PickHost "value-address" "from" "in the change pane: events from the value under the cursor, as an address";
    }
    Columns {
        ColumnToggle "column-toggle" "always/frozen/never" "show the column by width, always, frozen (first, uncut, not scrolled away), never";
        ColumnDown "column-down" "move right" "move the column to the right";
        ColumnUp "column-up" "move left" "move the column to the left";
        ColumnReset "column-reset" "as shipped" "columns as shipped";
    }
    Brush {
        BrushEarlier "brush-earlier" "earlier" "to the earlier column";
        BrushLater "brush-later" "later" "to the later column";
        BrushAnchor "brush-anchor" "begin here" "begin the selection here";
    }
    Tasks {
        CancelTask "cancel-task" "cancel task" "cancel the selected task";
    }
    Saved {
        Forget "delete" "delete" "delete the saved filter";
    }
    Export {
        ExportMarks "marks" "verify content" "verify the content of each event, and write the result beside it";
    }
    Scope {
        ScopeResource "resource" "resource" "the resource of the selected event";
        ScopeView "view" "view" "the resources of this view";
        ScopeOrganization "organization" "organisation" "all resources of the organisation";
    }
    Levels {
        Level0 "level-0" "0" "fold everything";
        Level1 "level-1" "1" "unfold one level";
        Level2 "level-2" "2" "unfold two levels";
        Level3 "level-3" "3" "unfold three levels";
        Level4 "level-4" "4" "unfold four levels";
        Level5 "level-5" "5" "unfold five levels";
        Level6 "level-6" "6" "unfold six levels";
        Level7 "level-7" "7" "unfold seven levels";
        Level8 "level-8" "8" "unfold eight levels";
        Level9 "level-9" "9" "unfold nine levels";
    }
    Confirm {
        Yes "yes" "yes" "yes";
        No "no" "no" "no";
    }
    Always {
        Interrupt "interrupt" "stop" "cancel what is running; twice within 2 s: leave" ("cancel abort kill stop");
        Suspend "suspend" "suspend" "suspend the program, fg brings it back" ("background shell");
        Redraw "redraw" "redraw" "draw the screen anew" ("repaint clear");
    }
}

impl Action {
    /// Whether the palette offers it, over the panes or over a tree.
    pub(in crate::console) fn is_offered(self, in_tree: bool) -> bool {
        match self.section() {
            Section::Global | Section::Move | Section::Always => self != Self::Palette,
            Section::Tree => in_tree,
            _ => false,
        }
    }

    /// Depth that the action unfolds a tree to; `None` for other actions.
    pub fn level(self) -> Option<usize> {
        Self::ALL.iter().filter(|a| a.section() == Section::Levels).position(|a| *a == self)
    }
}

/// Where a key is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// Lists and texts.
    Move,
    /// Wherever no text is typed and no question is open.
    Global,
    /// In the tree of an event; these go before the keys of the panes.
    Tree,
    /// While text is typed.
    Editor,
    /// After the key that copies.
    Copy,
    /// While a value of an event is chosen.
    Values,
    /// While the columns of the timeline are chosen.
    Columns,
    /// While a part of the histogram strip is selected.
    Brush,
    /// In the list of tasks; these go before the keys of the panes.
    Tasks,
    /// In the list of saved filters.
    Saved,
    /// While it is chosen what is exported.
    Export,
    /// While the scope of a search for ghost changes is chosen.
    Scope,
    /// While the depth of a tree is chosen.
    Levels,
    /// While a question is open.
    Confirm,
    /// Everywhere.
    Always,
}

impl Section {
    /// All sections.
    pub const ALL: [Self; 15] = [
        Self::Move,
        Self::Global,
        Self::Tree,
        Self::Editor,
        Self::Copy,
        Self::Values,
        Self::Columns,
        Self::Brush,
        Self::Tasks,
        Self::Saved,
        Self::Export,
        Self::Scope,
        Self::Levels,
        Self::Confirm,
        Self::Always,
    ];

    /// Its name in the keymap.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Move => "move",
            Self::Global => "global",
            Self::Tree => "tree",
            Self::Editor => "editor",
            Self::Copy => "copy",
            Self::Values => "values",
            Self::Columns => "columns",
            Self::Brush => "brush",
            Self::Tasks => "tasks",
            Self::Saved => "saved",
            Self::Export => "export",
            Self::Scope => "scope",
            Self::Levels => "levels",
            Self::Confirm => "confirm",
            Self::Always => "always",
        }
    }

    /// Its heading in help.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Move => "Moving",
            Self::Global => "Views and panes",
            Self::Tree => "In a tree",
            Self::Editor => "While typing",
            Self::Copy => "Copying",
            Self::Values => "Choosing a value",
            Self::Columns => "Columns",
            Self::Brush => "Histogram strip",
            Self::Tasks => "List of tasks",
            Self::Saved => "Saved filters",
            Self::Export => "Exporting",
            Self::Scope => "Scope of a ghost search",
            Self::Levels => "Depth of a tree",
            Self::Confirm => "Confirming",
            Self::Always => "Always",
        }
    }

    /// Whether a key may not stand in both, because both are in force at once.
    pub(super) fn overlaps(self, other: Self) -> bool {
        self == other
            || self == Self::Always
            || other == Self::Always
            || matches!(
                (self, other),
                (Self::Move, Self::Global | Self::Tree) | (Self::Global | Self::Tree, Self::Move)
            )
    }
}
