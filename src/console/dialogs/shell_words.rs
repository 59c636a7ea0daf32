//! Words for a POSIX shell, such that what is copied has no character that a terminal would obey or not show, and the
//! shell reads exactly the text that was meant.

use crate::domain::is_hidden;

/// A command whose words are `words`, to be read by a shell.
pub(in crate::console) fn command<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut before = String::new();
    let words: Vec<String> = words.into_iter().map(|word| quoted(word, &mut before)).collect();
    before + &words.join(" ")
}

/// One word. Bytes of hidden characters are made by `printf`, because no quotes of POSIX take escapes. The shell cuts
/// line feeds off the end of what a command prints: such a text is put into a variable `before`, with something behind
/// them, first.
fn quoted(text: &str, before: &mut String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | ':' | '/' | '=');
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    if !text.chars().any(is_hidden) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let format = printf_format(text);
    if !text.ends_with('\n') {
        return format!("\"$(printf '{format}')\"");
    }
    let name = format!("x{}", before.matches('=').count());
    before.push_str(&format!("{name}=\"$(printf '{format}.')\"; "));
    format!("\"${{{name}%.}}\"")
}

/// What `printf` prints as `text`.
fn printf_format(text: &str) -> String {
    let mut format = String::new();
    for (at, c) in text.char_indices() {
        match c {
            // A format that begins with it is taken for options.
            '-' if at == 0 => format.push_str(r"\055"),
            '%' => format.push_str("%%"),
            '\\' => format.push_str(r"\\"),
            '\'' => format.push_str(r"\047"),
            c if is_hidden(c) => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    format.push_str(&format!("\\{byte:03o}"));
                }
            }
            c => format.push(c),
        }
    }
    format
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The words as the shell reads them.
    fn read(command: &str) -> Vec<String> {
        let script = format!("agenttrace() {{ printf '%s\\0' \"$@\"; }}\n{command}");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{command}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(ToOwned::to_owned).collect()
    }

    #[test]
    fn plain_words_stay_and_hidden_characters_are_made_by_printf() {
        assert_eq!(command(["show", "evt-1", "it's"]), r"show evt-1 'it'\''s'");
        assert_eq!(command(["e\u{1b}%\u{202e}'"]), r#""$(printf 'e\033%%\342\200\256\047')""#);
        assert_eq!(
            command(["a\n", "b\n"]),
            r#"x0="$(printf 'a\012.')"; x1="$(printf 'b\012.')"; "${x0%.}" "${x1%.}""#
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_shell_reads_what_was_meant_and_nothing_is_hidden(
            words in prop::collection::vec(
                prop_oneof!["[^\u{0}]{0,12}", "[-\u{1}-\u{20}%\\\\'\"$`;&|<>#~!*?=x0-9]{0,12}"], 1..5),
        ) {
            let text = command(["agenttrace"].into_iter().chain(words.iter().map(String::as_str)));
            prop_assert!(!text.chars().any(is_hidden), "{}", text);
            prop_assert_eq!(read(&text), words);
        }
    }
}
