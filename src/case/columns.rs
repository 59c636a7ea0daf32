//! The columns of the timeline that the user has chosen, in a line of text.

use crate::error::Result;
use std::path::Path;

/// Name of the file in [`super::folder`].
pub const FILE: &str = "columns";

/// The line; empty where nothing was chosen. Nothing depends on it: what cannot be read is passed over.
pub fn load(path: &Path) -> String {
    const MOST: usize = 4_096;
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().next().filter(|line| line.len() <= MOST).unwrap_or_default().to_owned()
}

/// Keeps the line instead of the one before.
///
/// # Errors
/// When the file cannot be written.
pub fn save(path: &Path, line: &str) -> Result<()> {
    super::replace(path, format!("{line}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_choice_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data").join(FILE);
        assert_eq!(load(&path), "");
        for line in ["type +address", "actor"] {
            save(&path, line).unwrap();
            assert_eq!(load(&path), line);
        }
    }
}
