//! What the console promises outside of itself.

use agenttrace::console::keymap;
use std::path::Path;

/// The README's table of keys is the keymap's. `UPDATE_README=1` renews it.
#[test]
fn the_readme_has_the_keymap() {
    const BEGIN: &str = "<!-- keymap: written by the test `the_readme_has_the_keymap`; run it with UPDATE_README=1 to renew this table -->\n";
    const END: &str = "<!-- /keymap -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let begin = readme.find(BEGIN).expect("the README has the first mark") + BEGIN.len();
    let end = readme.find(END).expect("the README has the last mark");
    let table = keymap::markdown().unwrap();
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(&path, format!("{}{table}{}", &readme[..begin], &readme[end..])).unwrap();
    } else {
        assert_eq!(&readme[begin..end], table, "run this test with UPDATE_README=1");
    }
}
