//! The nearest of some names, for errors that say what was probably meant.

/// Likeness of two names, from 0 to 1 (Jaro-Winkler); ASCII letters are alike in either case.
fn likeness(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(&a.to_ascii_lowercase(), &b.to_ascii_lowercase())
}

/// The nearest of the names, if any is near enough to be meant: a likeness above 0.8.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (likeness(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near_or_none() {
        let known = || ["host", "user", "sslmode", "severity"].into_iter();
        assert_eq!(nearest("hostt", known()), Some("host"));
        assert_eq!(nearest("SSLMOD", known()), Some("sslmode"));
        assert_eq!(nearest("xyz", known()), None);
    }
}
