//! What the console promises outside of itself.

use agenttrace::console::core::keymap;
use std::path::Path;

/// `docs/keys.md` and the short table of the README are the keymap's. `UPDATE_KEYS=1` renews both.
#[test]
fn the_tables_of_keys_are_those_of_the_keymap() {
    const BEGIN: &str = "<!-- keys: from the keymap, renewed by `just keys` -->\n";
    const END: &str = "<!-- /keys -->";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let renew = std::env::var_os("UPDATE_KEYS").is_some();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let begin = readme.find(BEGIN).expect("the README has the first mark") + BEGIN.len();
    let end = readme.find(END).expect("the README has the last mark");
    let table = keymap::first_steps().unwrap();
    let renewed = format!("{}{table}{}", &readme[..begin], &readme[end..]);
    for (file, text) in [("README.md", renewed), ("docs/keys.md", keymap::page().unwrap())] {
        let path = root.join(file);
        if renew {
            std::fs::write(&path, text).unwrap();
        } else {
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{file} is stale: run `just keys`");
        }
    }
}
