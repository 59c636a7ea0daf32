//! Text broken into lines by the columns it takes on a terminal.

use super::Safe;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

impl Safe {
    /// Lines of at most `columns`, at least one, broken anywhere; further lines keep the indentation of the first, and two
    /// blanks.
    pub fn wrapped(&self, columns: usize) -> Vec<Self> {
        if self.width() <= columns {
            return vec![self.clone()];
        }
        let own = self.as_str().len() - self.as_str().trim_start_matches(' ').len();
        self.lines(|text| broken(text, columns, own + 2))
    }

    /// Lines of at most `columns`, at least one, broken anywhere and not indented.
    pub fn wrapped_anywhere(&self, columns: usize) -> Vec<Self> {
        self.lines(|text| broken(text, columns, 0))
    }

    /// Lines of at most `columns`, at least one, broken between words as far as these are shorter than a line; further lines
    /// begin with `indent` blanks.
    pub fn wrapped_words(&self, columns: usize, indent: usize) -> Vec<Self> {
        self.lines(|text| {
            let mut lines = Vec::new();
            let mut line = String::new();
            for word in text.split(' ') {
                if line.is_empty() {
                    line.push_str(word);
                } else if line.width() + 1 + word.width() <= columns {
                    line.push(' ');
                    line.push_str(word);
                } else {
                    lines.push(std::mem::replace(&mut line, format!("{:indent$}{word}", "")));
                }
            }
            lines.push(line);
            lines.iter().flat_map(|line| broken(line, columns, indent)).collect()
        })
    }

    /// The text broken by a rule that looks at blanks and widths only, so that it breaks the text under the mask at the
    /// same places.
    fn lines(&self, broken: impl Fn(&str) -> Vec<String>) -> Vec<Self> {
        let lines = broken(self.as_str());
        if !self.has_mask() {
            return lines.into_iter().map(|line| Self::of_both(line, None)).collect();
        }
        let masked = broken(self.masked()).into_iter().map(Some).chain(std::iter::repeat(None));
        lines.into_iter().zip(masked).map(|(line, masked)| Self::of_both(line, masked)).collect()
    }
}

fn broken(text: &str, columns: usize, indent: usize) -> Vec<String> {
    if text.width() <= columns {
        return vec![text.to_owned()];
    }
    let indent = " ".repeat(indent.min(columns / 2));
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let width = grapheme.width();
        if used + width > columns && used > indent.len() {
            lines.push(std::mem::replace(&mut line, indent.clone()));
            used = indent.len();
        }
        line.push_str(grapheme);
        used += width;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_text_is_complete_and_indented() {
        let text = Safe::from_untrusted("    \"key\": \"0123456789012345678901234567890123456789\"");
        let lines = text.wrapped(20);
        assert!(lines.iter().all(|l| l.width() <= 20));
        assert!(
            lines[1..].iter().all(|l| l.as_str().starts_with("      ") && !l.as_str().starts_with("       "))
        );
        let joined: String = lines.iter().map(|l| l.as_str().trim_start()).collect();
        assert_eq!(joined, text.as_str().trim_start());
        assert_eq!(Safe::from_untrusted("日本語").wrapped(1).len(), 3);
    }

    #[test]
    fn statements_break_at_blanks_and_lose_nothing() {
        let text = "SELECT event_id, timestamp FROM audit_events WHERE organization_id = $1";
        for width in [20, 25, 40, 200] {
            let lines = Safe::from_untrusted(text).wrapped_words(width, 0);
            let texts: Vec<&str> = lines.iter().map(Safe::as_str).collect();
            assert_eq!(texts.join(" "), text);
            assert!(lines.iter().all(|line| line.width() <= width), "{texts:?}");
        }
        let wide = "ｘ".repeat(25);
        let lines = Safe::from_untrusted(&wide).wrapped_words(20, 0);
        assert!(lines.iter().all(|line| line.width() <= 20), "columns, not characters");
        assert_eq!(lines.iter().map(Safe::as_str).collect::<String>(), wide);
    }
}
