//! The timeline while each run has one line.

use crate::console::integrity::row_marks::{Mark, Marks};
use crate::console::timeline::pane::Timeline;
use crate::console::timeline::row::Row;
use crate::console::timeline::runs::Run;

impl Timeline {
    /// Gives each run one line, or each event again.
    pub(crate) fn toggle_runs(&mut self) {
        self.window.fold(!self.window.is_folded());
        self.selected = self.window.head_of(self.selected);
        self.top = self.window.head_of(self.top);
        self.show_selected();
    }

    /// What is selected is shown: a run that hides it is no run any more.
    pub(super) fn unfold_selected(&mut self) {
        if self.window.head_of(self.selected) != self.selected {
            self.window.fold(false);
        }
        self.top = self.window.head_of(self.top);
    }

    /// The rows of the run that a row stands for; without runs, or of a run of one, nothing.
    pub(super) fn run_at(&self, index: usize) -> Option<&Run> {
        self.window.run_of(index).filter(|run| run.rows > 1)
    }

    /// The mark of a row; of a run the worst one of its rows: one that is broken does not hide among others.
    pub(super) fn mark_of(&self, index: usize, row: &Row, marks: &Marks) -> Mark {
        let place = |mark: &Mark| Mark::ALL.iter().position(|other| other == mark);
        match self.run_at(index) {
            Some(run) => {
                let rows = self.window.rows().iter().skip(run.first).take(run.rows);
                rows.map(|row| marks.mark(&row.event)).max_by_key(place).unwrap_or(Mark::Unchecked)
            }
            None => marks.mark(&row.event),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::console::app::fixtures::Desk;
    use crate::console::app::message::Output;
    use crate::console::core::tasks::Slot;
    use crate::console::integrity::row_marks::Mark;
    use crate::console::integrity::task as integrity;
    use crossterm::event::KeyCode;

    /// Twenty events: a critical one is the sixth, another object that of the tenth.
    fn desk() -> Desk {
        let mut desk = Desk::begin(Some("acme"));
        desk.connect();
        desk.opened_with(20, 0, |at, row| {
            if at == 5 {
                row.event_severity = "critical".to_owned();
            }
            if at == 9 {
                row.resource_id = "rb-8".to_owned();
            }
        });
        desk
    }

    fn rows(desk: &Desk) -> Vec<String> {
        let screen = desk.screen();
        let left = screen.lines().map(|line| line.split('│').next().unwrap_or_default().trim_end());
        left.filter(|line| line.contains(" 09:57:") || line.contains(" 09:58:")).map(str::to_owned).collect()
    }

    #[test]
    fn runs_have_one_line_each_and_their_number() {
        let mut desk = desk();
        assert_eq!(rows(&desk).len(), 20);
        desk.keys("r");
        let shown = rows(&desk);
        assert_eq!(shown.len(), 3, "{shown:?}");
        assert!(shown[0].ends_with("×5") && shown[0].contains("role_binding/rb-7"), "{shown:?}");
        assert!(!shown[1].contains('×') && shown[1].contains("CRIT"), "{shown:?}");
        assert!(shown[2].ends_with("×14") && shown[2].contains("role_binding/…"), "{shown:?}");
        assert!(desk.screen().contains("runs on one line"), "{}", desk.screen());
        // Movement goes by lines.
        desk.keys("j");
        assert_eq!(desk.selected(), "e89995");
        desk.keys("jj");
        assert_eq!(desk.selected(), "e89994");
        desk.key(KeyCode::PageUp);
        assert_eq!(desk.selected(), "e90000");
        // The raw rows are one key away.
        desk.keys("jjr");
        assert_eq!((desk.selected().as_str(), rows(&desk).len()), ("e89994", 20));
        desk.keys("jr");
        assert_eq!(desk.selected(), "e89994", "the run of what was selected");
    }

    #[test]
    fn a_broken_event_does_not_hide_in_a_run_and_what_is_gone_to_is_shown() {
        let mut desk = desk();
        desk.keys("r").wait(400);
        let integrity_task = desk.begun(Slot::Marks).1;
        let crate::console::app::message::Task::Integrity(integrity::Task::Glance(look)) = integrity_task
        else {
            panic!()
        };
        assert_eq!(look.rows.len(), 20, "those of runs too");
        let mut glances = crate::console::app::fixtures::glances(&look.rows, Mark::Verified);
        let one = &look.rows[12];
        let broken = crate::console::integrity::row_marks::Glance::of(one, Mark::Broken, "");
        glances.seen[12] = (one.event_id.clone(), broken);
        desk.finish(Slot::Marks, Output::Integrity(integrity::Output::Glance(Box::new(glances))));
        let shown = rows(&desk);
        assert!(shown[0].contains('✓') && shown[2].contains('✗'), "{shown:?}");
        let key = desk.model.timeline.window.rows()[12].event.key();
        assert!(desk.model.timeline.select(&key));
        assert_eq!((desk.selected().as_str(), rows(&desk).len()), (key.event_id.as_str(), 20));
    }
}
