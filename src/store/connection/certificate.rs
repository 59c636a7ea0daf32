//! What the TLS library has against a certificate, in the words of people who make them.

/// The library's reason in words; its own name for it stays behind them, to be looked up.
pub(in crate::store) fn in_words(why: &str) -> String {
    let words = [
        (
            "CaUsedAsEndEntity",
            "it is the certificate of an authority (CA:TRUE), self-signed as a rule, and not of a server",
        ),
        ("UnsupportedCertVersion", "it is of X.509 version 1, and version 3 is needed"),
        ("UnknownIssuer", "it is signed by an authority that is not trusted here"),
        ("BadEncoding", "it is malformed"),
    ];
    match words.into_iter().find(|(name, _)| why.contains(name)) {
        Some((name, words)) => format!("{words} ({name})"),
        None => why.to_owned(),
    }
}
