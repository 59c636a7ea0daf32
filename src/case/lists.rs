//! Lists of values that a filter names: `actor in @suspects.txt`.

use std::fs::File;
use std::io::Read as _;

/// Longest list, in bytes.
const LONGEST: u64 = 4 * 1024 * 1024;

/// The content of the file `name`, relative to the working folder.
///
/// # Errors
/// Why it cannot be read, in words.
pub fn read(name: &str) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(name).map_err(|e| e.to_string())?;
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(|e| e.to_string())?;
    if text.len() as u64 > LONGEST { Err(format!("it is longer than {LONGEST} bytes")) } else { Ok(text) }
}
