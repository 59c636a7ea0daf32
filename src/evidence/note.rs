//! Signed notes (C2SP `signed-note`), with Ed25519: a text that people read, and below an empty line the signatures, each
//! with the name of its key. Also the spelling of keys that Go's `sumdb/note` has.
//!
//! Notes and keys from elsewhere are hostile. A signature by a known key that does not verify makes the whole note
//! invalid; one by an unknown key says nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Longest note, in bytes, as other implementations have it.
pub const LONGEST: usize = 1_000_000;
/// Most signatures of a note, as other implementations have it.
pub const MOST_SIGNATURES: usize = 100;
/// Longest name of a key, in bytes.
pub const LONGEST_NAME: usize = 255;
/// The type of a key or signature that is Ed25519 over the text itself.
const ED25519: u8 = 1;
/// What a private key begins with.
const PRIVATE: &str = "PRIVATE+KEY+";

/// Why a note or key is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A name that no key can have.
    #[error("'{0}' is no name of a key: it is empty, too long, or holds a blank, a control character or '+'")]
    Name(String),
    /// Not a key.
    #[error("not an Ed25519 key in the form NAME+ID+BASE64")]
    Key,
    /// Not a note.
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    /// A signature that does not fit.
    #[error("the signature of the key '{0}' is not one of this text")]
    Signature(String),
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(allowed)
}

/// The first four bytes of the hash of name, type and public key.
fn key_id(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let digest = Sha256::new().chain_update(name).chain_update([b'\n', ED25519]).chain_update(key.as_bytes());
    let [a, b, c, d, ..] = <[u8; 32]>::from(digest.finalize());
    [a, b, c, d]
}

/// `NAME+ID+BASE64` taken apart: name and the 32 bytes behind the type. The name is valid; the id is not yet compared.
fn parts(text: &str) -> Result<(&str, [u8; 4], [u8; 32]), NoteError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(bytes)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NoteError::Key);
    };
    let is_hex = id.len() == 8 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let id = u32::from_str_radix(id, 16).ok().filter(|_| is_hex).ok_or(NoteError::Key)?;
    let bytes = STANDARD.decode(bytes).map_err(|_| NoteError::Key)?;
    match bytes.split_first() {
        Some((&ED25519, key)) if is_name(name) => {
            Ok((name, id.to_be_bytes(), key.try_into().map_err(|_| NoteError::Key)?))
        }
        _ => Err(NoteError::Key),
    }
}

/// A public key with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: VerifyingKey,
    id: [u8; 4],
}

impl PublicKey {
    fn new(name: &str, key: VerifyingKey) -> Self {
        Self { name: name.to_owned(), id: key_id(name, &key), key }
    }

    /// Reads `NAME+ID+BASE64`.
    ///
    /// # Errors
    /// When it is no such key, or its id is that of another one.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (name, id, bytes) = parts(text)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| NoteError::Key)?;
        let key = Self::new(name, key);
        // A key of small order signs any text.
        if key.id == id && !key.key.is_weak() { Ok(key) } else { Err(NoteError::Key) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<u8> = [ED25519].into_iter().chain(*self.key.as_bytes()).collect();
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id), STANDARD.encode(bytes))
    }
}

/// A private key with its name. It is not shown by `Debug`.
pub struct PrivateKey {
    name: String,
    key: SigningKey,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// A key from 32 random bytes.
    ///
    /// # Errors
    /// When the name cannot be one.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Name(name.to_owned()));
        }
        Ok(Self { name: name.to_owned(), key: SigningKey::from_bytes(seed) })
    }

    /// Reads `PRIVATE+KEY+NAME+ID+BASE64`.
    ///
    /// # Errors
    /// When it is no such key.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (name, id, seed) = parts(text.strip_prefix(PRIVATE).ok_or(NoteError::Key)?)?;
        let key = Self::new(name, &seed)?;
        if key.public().id == id { Ok(key) } else { Err(NoteError::Key) }
    }

    /// The text that [`Self::parse`] reads: whoever has it can sign.
    pub fn secret(&self) -> String {
        let bytes: Vec<u8> = [ED25519].into_iter().chain(self.key.to_bytes()).collect();
        let id = u32::from_be_bytes(self.public().id);
        format!("{PRIVATE}{}+{id:08x}+{}", self.name, STANDARD.encode(bytes))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public key.
    pub fn public(&self) -> PublicKey {
        PublicKey::new(&self.name, self.key.verifying_key())
    }

    /// The signed note of a text.
    ///
    /// # Errors
    /// When the text cannot be that of a note: what others refuse to open is not signed.
    pub fn sign(&self, text: &str) -> Result<String, NoteError> {
        check_text(text)?;
        Ok(format!("{text}\n{}", self.signature_line(text)))
    }

    /// The note with one more signature.
    ///
    /// # Errors
    /// When it has as many as there can be.
    pub fn sign_also(&self, note: &Note) -> Result<String, NoteError> {
        if note.signatures.len() >= MOST_SIGNATURES {
            return Err(NoteError::Malformed("it has as many signatures as there can be"));
        }
        Ok(format!("{}{}", note.whole, self.signature_line(&note.text)))
    }

    /// The salt of a column of an event (`docs/reference/evidence.md`): the same each time, and known only to who has the
    /// key.
    pub fn salt(&self, hash: &[u8; 32], column: &str) -> [u8; 32] {
        let digest = Sha256::new().chain_update(format!("agenttrace-salt/1\n{column}\n"));
        digest.chain_update(hash).chain_update(self.key.to_bytes()).finalize().into()
    }

    fn signature_line(&self, text: &str) -> String {
        let id = self.public().id;
        let bytes: Vec<u8> = id.into_iter().chain(self.key.sign(text.as_bytes()).to_bytes()).collect();
        format!("\u{2014} {} {}\n", self.name, STANDARD.encode(bytes))
    }
}

/// The text of a note ends in a line feed and holds no other control character below U+0020.
fn check_text(text: &str) -> Result<(), NoteError> {
    if text.len() > LONGEST / 2 {
        return Err(NoteError::Malformed("its text is too long"));
    }
    if !text.ends_with('\n') || text == "\n" {
        return Err(NoteError::Malformed("its text does not end in a line feed"));
    }
    if text.chars().any(|c| c < ' ' && c != '\n') {
        return Err(NoteError::Malformed("its text holds a control character"));
    }
    Ok(())
}

/// A note that was read; nothing is known of its signatures yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    whole: String,
    text: String,
    signatures: Vec<NamedSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct NamedSignature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > LONGEST {
            return Err(NoteError::Malformed("it is too long"));
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| NoteError::Malformed("it is not valid UTF-8"))?;
        let at = whole.rfind("\n\n").ok_or(NoteError::Malformed("it has no signatures"))?;
        let (text, lines) = whole.split_at(at + 1);
        let lines = lines.strip_prefix('\n').unwrap_or_default();
        check_text(text)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed("its last line has no end"))?;
        let signatures: Vec<NamedSignature> = lines
            .split('\n')
            .take(MOST_SIGNATURES + 1)
            .map(|line| signature(line).ok_or(NoteError::Malformed("a signature has another form")))
            .collect::<Result<_, _>>()?;
        if signatures.len() > MOST_SIGNATURES {
            return Err(NoteError::Malformed("it has too many signatures"));
        }
        Ok(Self { whole: whole.to_owned(), text: text.to_owned(), signatures })
    }

    /// The whole note as it came.
    pub fn as_str(&self) -> &str {
        &self.whole
    }

    /// What is signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same note with the signatures of another one of the same text, by these keys, that it lacks.
    ///
    /// # Errors
    /// When the other one is of another text, a signature claims to be by one of the keys and is not, or there would be too
    /// many.
    pub fn with_signatures_of(&self, other: &Self, keys: &[PublicKey]) -> Result<Self, NoteError> {
        if other.text != self.text {
            return Err(NoteError::Malformed("it is of another text"));
        }
        let by = other.signed_by(keys)?;
        let mut whole = self.whole.clone();
        for signature in &other.signatures {
            let is_by = |key: &&PublicKey| key.name == signature.name && key.id == signature.id;
            if by.iter().any(is_by) && !self.signatures.contains(signature) {
                let bytes: Vec<u8> = signature.id.iter().chain(&signature.bytes).copied().collect();
                whole.push_str(&format!("\u{2014} {} {}\n", signature.name, STANDARD.encode(bytes)));
            }
        }
        Self::parse(whole.as_bytes())
    }

    /// The names of the keys that signatures claim to be by.
    pub fn claimed(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|signature| signature.name.as_str())
    }

    /// Those of the keys that have signed the text, each once.
    ///
    /// # Errors
    /// When a signature claims to be by one of them and is not.
    pub fn signed_by<'k>(&self, keys: &'k [PublicKey]) -> Result<Vec<&'k PublicKey>, NoteError> {
        let mut found: Vec<&PublicKey> = Vec::new();
        for signature in &self.signatures {
            let known = keys.iter().find(|key| key.name == signature.name && key.id == signature.id);
            let Some(key) = known else { continue };
            let bytes: Option<[u8; 64]> = signature.bytes.as_slice().try_into().ok();
            let holds = bytes.is_some_and(|bytes| {
                key.key.verify_strict(self.text.as_bytes(), &Signature::from_bytes(&bytes)).is_ok()
            });
            if !holds {
                return Err(NoteError::Signature(signature.name.clone()));
            }
            if !found.contains(&key) {
                found.push(key);
            }
        }
        Ok(found)
    }
}

/// `— NAME BASE64`, of which the first four bytes are the key's id.
fn signature(line: &str) -> Option<NamedSignature> {
    let (name, bytes) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = STANDARD.decode(bytes).ok()?;
    let (id, bytes) = bytes.split_first_chunk::<4>()?;
    if !is_name(name) || bytes.is_empty() {
        return None;
    }
    Some(NamedSignature { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of Go's `sumdb/note`, key and note.
    const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
         \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const GO_SECRET: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";

    fn key(name: &str) -> PrivateKey {
        PrivateKey::new(name, &[7; 32]).unwrap()
    }

    #[test]
    fn the_example_of_the_other_implementation_is_opened_and_made() {
        let (public, secret) = (PublicKey::parse(GO_KEY).unwrap(), PrivateKey::parse(GO_SECRET).unwrap());
        assert_eq!((public.to_string(), secret.secret()), (GO_KEY.to_owned(), GO_SECRET.to_owned()));
        assert_eq!(secret.public(), public);
        let note = Note::parse(GO_NOTE.as_bytes()).unwrap();
        assert_eq!(note.signed_by(std::slice::from_ref(&public)), Ok(vec![&public]));
        assert_eq!(secret.sign(note.text()).unwrap(), GO_NOTE);
        assert_eq!(note.signed_by(&[key("other").public()]), Ok(Vec::new()));
    }

    #[test]
    fn a_bad_signature_of_a_known_key_makes_the_note_invalid_also_beside_a_good_one() {
        let (a, b) = (key("a"), PrivateKey::new("b", &[8; 32]).unwrap());
        let both = b.sign_also(&Note::parse(a.sign("x\n").unwrap().as_bytes()).unwrap()).unwrap();
        let keys = [a.public(), b.public()];
        assert_eq!(Note::parse(both.as_bytes()).unwrap().signed_by(&keys).unwrap().len(), 2);
        let twice = a.sign_also(&Note::parse(both.as_bytes()).unwrap()).unwrap();
        assert_eq!(Note::parse(twice.as_bytes()).unwrap().signed_by(&keys).unwrap().len(), 2, "counted once");
        // Signatures of one note are put to another of the same text, each once, and only those that verify.
        let by = |key: &PrivateKey| Note::parse(key.sign("x\n").unwrap().as_bytes()).unwrap();
        let joined = by(&a).with_signatures_of(&by(&b), &keys).unwrap();
        assert_eq!(joined.as_str(), both);
        assert_eq!(joined.with_signatures_of(&by(&b), &keys).unwrap().as_str(), both);
        assert_eq!(by(&a).with_signatures_of(&by(&b), &[a.public()]).unwrap(), by(&a), "an unknown key");
        assert!(
            by(&a)
                .with_signatures_of(&Note::parse(b.sign("y\n").unwrap().as_bytes()).unwrap(), &keys)
                .is_err()
        );
        let other = Note::parse(both.replacen('x', "y", 1).as_bytes()).unwrap();
        assert_eq!(other.signed_by(&keys), Err(NoteError::Signature("a".to_owned())));
        let of_another_text = b.sign("y\n").unwrap();
        let mixed = format!("{}{}", a.sign("x\n").unwrap(), of_another_text.lines().last().unwrap());
        let mixed = Note::parse(format!("{mixed}\n").as_bytes()).unwrap();
        assert_eq!(mixed.signed_by(&keys), Err(NoteError::Signature("b".to_owned())));
        assert_eq!(mixed.signed_by(&keys[..1]).unwrap().len(), 1, "one by an unknown key says nothing");
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let note = key("a").sign("x\n\ny\n").unwrap();
        assert_eq!(Note::parse(note.as_bytes()).unwrap().text(), "x\n\ny\n", "the last empty line counts");
        let crlf = note.replace('\n', "\r\n");
        let bad = [
            String::new(),
            "x\n".to_owned(),
            "\n\n".to_owned(),
            note.trim_end().to_owned(),
            format!("{note}\n"),
            format!("{note}x"),
            crlf,
            note.replace('\u{2014}', "-"),
            note.replace(" a ", "  "),
            note.replace(" a ", " a+ "),
            note.replacen('x', "\u{7}", 1),
            format!("{}{}", note, note.lines().last().unwrap().to_owned().repeat(2)),
            format!("x\n\n{}", format!("{}\n", note.lines().last().unwrap()).repeat(101)),
        ];
        for text in bad {
            assert!(matches!(Note::parse(text.as_bytes()), Err(NoteError::Malformed(_))), "{text:?}");
        }
        assert!(Note::parse(b"x\xff\n\n\xe2\x80\x94 a AAAAAAA=\n").is_err());
    }

    #[test]
    fn a_text_or_name_that_others_would_refuse_is_not_signed() {
        for text in ["", "\n", "x", "x\r\n", "x\u{1b}\n", "x\t\n"] {
            assert!(matches!(key("a").sign(text), Err(NoteError::Malformed(_))), "{text:?}");
        }
        for name in ["", "a b", "a+b", "a\nb", "a\u{2003}b", "a\u{7f}", &"a".repeat(256)] {
            assert!(PrivateKey::new(name, &[1; 32]).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_key_is_read_in_one_spelling_only() {
        let text = key("a").public().to_string();
        assert!(PublicKey::parse(&text).is_ok());
        let id = text.split('+').nth(1).unwrap();
        let zero = format!("{:0>44}", "AQ==");
        for bad in [
            text.replacen('a', "b", 1),
            text.replace(id, "00000000"),
            text.replace(id, &format!("+{}", &id[1..])),
            text.replace(id, &id.to_uppercase().replace(char::is_numeric, "1")),
            format!("{text} "),
            text.trim_end_matches('=').to_owned() + "A",
            format!("a+{id}+{zero}"),
            String::new(),
        ] {
            assert_eq!(PublicKey::parse(&bad), Err(NoteError::Key), "{bad}");
        }
        // The neutral point, under which one signature fits every text.
        let mut bytes = [0_u8; 33];
        (bytes[0], bytes[1]) = (ED25519, 1);
        let weak = VerifyingKey::from_bytes(bytes[1..].try_into().unwrap()).unwrap();
        let weak = PublicKey::new("a", weak).to_string();
        assert_eq!(PublicKey::parse(&weak), Err(NoteError::Key));
    }

    proptest! {
        #[test]
        fn any_text_that_is_signed_is_opened(text in "[^\\x00-\\x1f]{0,20}(\n[^\\x00-\\x1f]{0,20}){0,4}x\n", name in "[^\\s\\p{Cc}+]{1,20}") {
            let key = key(&name);
            let note = Note::parse(key.sign(&text).unwrap().as_bytes()).unwrap();
            prop_assert_eq!(note.text(), text);
            prop_assert_eq!(note.signed_by(&[key.public()]).unwrap().len(), 1);
        }

        #[test]
        fn any_bytes_give_a_note_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), text in any::<String>()) {
            let _ = Note::parse(&bytes);
            let _ = Note::parse(text.as_bytes());
            let _ = PublicKey::parse(&text);
            let _ = PrivateKey::parse(&text);
        }
    }
}
