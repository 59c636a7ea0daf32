//! What looks like the identifier of somebody or something.

/// Whether a text looks like an identifier: one word with a mark or a digit in it, and no time.
pub fn is_identifier(text: &str) -> bool {
    let marks = ['-', '_', '.', '@', ':', '/', '+'];
    let is_time = text.starts_with(|c: char| c.is_ascii_digit()) && text.contains(':');
    text.chars().all(|c| c.is_alphanumeric() || marks.contains(&c))
        && text.contains(char::is_alphabetic)
        && text.contains(|c: char| c.is_ascii_digit() || marks.contains(&c))
        && !is_time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_times_and_sentences_are_no_identifiers() {
        for id in ["svc-ci-backup", "user-33", "eve@acme.example", "api_key/ak-77", "arn:aws:iam::0:user/x"] {
            assert!(is_identifier(id), "{id}");
        }
        for other in ["active", "2026-11-28T18:15:49Z", "two words-1", "42", "", "<a-1>"] {
            assert!(!is_identifier(other), "{other}");
        }
    }
}
