//! Time stamps of a third party (RFC 3161): the request for one, and what an answer proves. The token is a CMS structure
//! (RFC 5652) over a `TSTInfo`, which holds a digest and a time.
//!
//! Verified are: that the digest is ours, the signature, and the way from its certificate to an authority that the reader
//! trusts, at the time of the stamp and for the purpose of time stamps. Not verified: whether a certificate was revoked, and
//! the policy of the authority.

use crate::domain::Timestamp;
use der::{AnyRef, Decode as _, Reader as _, SliceReader};
use pki_types::pem::PemObject as _;
use pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage, ring};

/// Longest token, in bytes.
pub const LONGEST: usize = 64 << 10;

/// Object identifiers, as their content stands in DER.
mod oid {
    pub(super) const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
    pub(super) const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 4];
    pub(super) const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3];
    pub(super) const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4];
    pub(super) const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
    pub(super) const SHA384: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2];
    pub(super) const SHA512: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3];
    pub(super) const RSA: [&[u8]; 4] = [
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1],
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11],
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12],
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13],
    ];
    pub(super) const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    pub(super) const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
    pub(super) const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
    pub(super) const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    pub(super) const TIME_STAMPING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 8];
}

/// Why there is no time stamp, or it does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// Another form.
    #[error("not a time stamp of RFC 3161: {0}")]
    Form(&'static str),
    /// The authority has refused.
    #[error("the authority gave no time stamp (status {0})")]
    Refused(u8),
    /// It is of something else.
    #[error("the time stamp is of another text: its digest is {0}")]
    OfAnother(String),
    /// The signature does not verify.
    #[error("the signature of the time stamp does not verify: {0}")]
    Signature(String),
    /// Its authority is not one of those that are trusted.
    #[error("the time stamp is not by a trusted authority: {0}")]
    Untrusted(String),
}

/// A request for a time stamp of these bytes' SHA-256, which asks for the certificate, too. It has no nonce: what ties the
/// answer to it is the digest.
pub fn request(text: &[u8]) -> Vec<u8> {
    let head: [&[u8]; 3] = [
        // Version 1; SHA-256 with parameters NULL; 32 bytes.
        &[0x30, 0x39, 2, 1, 1, 0x30, 0x31, 0x30, 0x0d, 6, 9],
        oid::SHA256,
        &[5, 0, 4, 0x20],
    ];
    let digest: [u8; 32] = Sha256::digest(text).into();
    // The certificate is wanted.
    [&head.concat()[..], &digest, &[1, 1, 0xff]].concat()
}

/// A trusted authority's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority(CertificateDer<'static>);

impl Authority {
    /// Reads certificates in PEM; none is an error.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn read(pem: &[u8]) -> Result<Vec<Self>, String> {
        let all: Vec<Self> = CertificateDer::pem_slice_iter(pem)
            .map(|one| one.map(Self).map_err(|e| format!("not certificates in PEM ({e})")))
            .collect::<Result<_, _>>()?;
        for Self(one) in &all {
            webpki::anchor_from_trusted_cert(one).map_err(|e| format!("not a certificate ({e})"))?;
        }
        if all.is_empty() { Err("no certificate is in it".to_owned()) } else { Ok(all) }
    }
}

/// A time stamp that was read; nothing is known of its signature yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    token: Vec<u8>,
    /// When, by the authority's clock.
    pub time: Timestamp,
    imprint: Vec<u8>,
    info: Vec<u8>,
    certificates: Vec<CertificateDer<'static>>,
    signer: Signer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signer {
    /// Issuer and serial number as they stand in DER; `None` where the key is named instead.
    certificate: Option<(Vec<u8>, Vec<u8>)>,
    digest: Vec<u8>,
    /// With the tag under which they are signed.
    attributes: Vec<u8>,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
}

const FORM: StampError = StampError::Form("its structure is another one");

/// The elements of a constructed value, one after the other.
struct Elements<'a>(SliceReader<'a>);

/// Tag number and class as one byte, content, and the whole.
struct Element<'a> {
    tag: u8,
    value: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Elements<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, StampError> {
        SliceReader::new(bytes).map(Self).map_err(|_| FORM)
    }

    fn next(&mut self) -> Result<Element<'a>, StampError> {
        self.optional()?.ok_or(FORM)
    }

    /// The next one; `None` behind the last.
    fn optional(&mut self) -> Result<Option<Element<'a>>, StampError> {
        if self.0.is_finished() {
            return Ok(None);
        }
        let whole = self.0.tlv_bytes().map_err(|_| FORM)?;
        let any = AnyRef::from_der(whole).map_err(|_| FORM)?;
        Ok(Some(Element { tag: *whole.first().ok_or(FORM)?, value: any.value(), whole }))
    }

    /// The next one, which has this tag.
    fn take(&mut self, tag: u8) -> Result<Element<'a>, StampError> {
        let element = self.next()?;
        if element.tag == tag { Ok(element) } else { Err(FORM) }
    }

    /// The content of the next one, which is a sequence.
    fn sequence(&mut self) -> Result<Self, StampError> {
        Self::of(self.take(SEQUENCE)?.value)
    }
}

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const IDENTIFIER: u8 = 0x06;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0]`, constructed: explicit content, certificates, signed attributes.
const FIRST: u8 = 0xa0;

fn identifier(algorithm: &Element<'_>) -> Result<Vec<u8>, StampError> {
    Ok(Elements::of(algorithm.value)?.take(IDENTIFIER)?.value.to_vec())
}

impl Stamp {
    /// Reads the authority's answer (`TimeStampResp`), or the token by itself.
    ///
    /// # Errors
    /// When it is another thing, or the authority has refused.
    pub fn of_answer(bytes: &[u8]) -> Result<Self, StampError> {
        let mut answer = Elements::of(bytes)?.sequence()?;
        let first = answer.next()?;
        if first.tag == IDENTIFIER {
            return Self::parse(bytes);
        }
        let status = Elements::of(first.value)?.take(INTEGER)?.value;
        match status {
            [0 | 1] => Self::parse(answer.take(SEQUENCE)?.whole),
            [status] => Err(StampError::Refused(*status)),
            _ => Err(FORM),
        }
    }

    /// Reads a token.
    ///
    /// # Errors
    /// When it is another thing.
    pub fn parse(token: &[u8]) -> Result<Self, StampError> {
        if token.len() > LONGEST {
            return Err(StampError::Form("it is too long"));
        }
        let mut outer = Elements::of(token)?;
        let mut content = outer.sequence()?;
        if outer.optional()?.is_some() || content.take(IDENTIFIER)?.value != oid::SIGNED_DATA {
            return Err(FORM);
        }
        let mut signed = Elements::of(content.take(FIRST)?.value)?.sequence()?;
        signed.take(INTEGER)?;
        signed.take(SET)?;
        let mut inner = signed.sequence()?;
        if inner.take(IDENTIFIER)?.value != oid::TST_INFO {
            return Err(StampError::Form("it is a signature of something else"));
        }
        let info = Elements::of(inner.take(FIRST)?.value)?.take(OCTETS)?.value;
        let (mut certificates, mut signers) = (Vec::new(), None);
        while let Some(element) = signed.optional()? {
            match element.tag {
                FIRST => {
                    let mut all = Elements::of(element.value)?;
                    while let Some(one) = all.optional()? {
                        certificates.push(CertificateDer::from(one.whole.to_vec()));
                    }
                }
                SET => signers = Some(element.value),
                _ => {}
            }
        }
        let mut signers = Elements::of(signers.ok_or(FORM)?)?;
        let signer = Signer::of(signers.sequence()?)?;
        if signers.optional()?.is_some() {
            return Err(StampError::Form("it has more than one signature"));
        }
        let (imprint, time) = read_info(info)?;
        Ok(Self { token: token.to_vec(), time, imprint, info: info.to_vec(), certificates, signer })
    }

    /// The token, as it came.
    pub fn token(&self) -> &[u8] {
        &self.token
    }

    /// Whether it is of this text.
    ///
    /// # Errors
    /// When it is of another one.
    pub fn is_of(&self, text: &[u8]) -> Result<(), StampError> {
        let digest: [u8; 32] = Sha256::digest(text).into();
        if self.imprint == digest {
            return Ok(());
        }
        let hex: String = self.imprint.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
        Err(StampError::OfAnother(hex))
    }

    /// Verifies the signature, and the way to one of the authorities. Returns the name of whoever signed.
    ///
    /// # Errors
    /// When the signature does not verify, or no way leads to one of them.
    pub fn verify(&self, authorities: &[Authority]) -> Result<String, StampError> {
        let Signer { digest, attributes, algorithm, signature, .. } = &self.signer;
        check_attributes(attributes, digest, &self.info)?;
        let algorithms = algorithms(algorithm, digest)
            .ok_or_else(|| StampError::Signature("its algorithm is not known here".to_owned()))?;
        let certificate = self.certificate(authorities)?;
        let end = EndEntityCert::try_from(certificate)
            .map_err(|e| StampError::Signature(format!("its certificate cannot be read ({e})")))?;
        // Which curve it is, says the key.
        let verifies = |algorithm: &&'static dyn SignatureVerificationAlgorithm| {
            end.verify_signature(*algorithm, attributes, signature).is_ok()
        };
        if !algorithms.iter().any(verifies) {
            return Err(StampError::Signature("it is by another key, or of another time".to_owned()));
        }
        let untrusted = |e: webpki::Error| StampError::Untrusted(e.to_string());
        let mut anchors = Vec::new();
        for Authority(one) in authorities {
            anchors.push(webpki::anchor_from_trusted_cert(one).map_err(untrusted)?);
        }
        let seconds = u64::try_from(self.time.as_micros().div_euclid(1_000_000)).map_err(|_| FORM)?;
        let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let usage = KeyUsage::required(oid::TIME_STAMPING);
        let (known, between) = (webpki::ALL_VERIFICATION_ALGS, &self.certificates);
        end.verify_for_usage(known, &anchors, between, at, usage, None, None).map_err(untrusted)?;
        Ok(common_name(certificate).unwrap_or_else(|| "an authority without a name".to_owned()))
    }

    /// The certificate that signed, from the token or the reader.
    fn certificate<'s>(
        &'s self,
        authorities: &'s [Authority],
    ) -> Result<&'s CertificateDer<'static>, StampError> {
        let mut all = self.certificates.iter().chain(authorities.iter().map(|Authority(one)| one));
        let found = match &self.signer.certificate {
            Some(named) => all.find(|one| issuer_and_serial(one).as_ref() == Ok(named)),
            None => all.next(),
        };
        found.ok_or_else(|| StampError::Signature("the certificate that it names is not in it".to_owned()))
    }
}

impl Signer {
    fn of(mut signer: Elements<'_>) -> Result<Self, StampError> {
        signer.take(INTEGER)?;
        let id = signer.next()?;
        let certificate = if id.tag == SEQUENCE {
            let mut id = Elements::of(id.value)?;
            Some((id.take(SEQUENCE)?.whole.to_vec(), id.take(INTEGER)?.value.to_vec()))
        } else {
            None
        };
        let digest = identifier(&signer.take(SEQUENCE)?)?;
        let mut attributes = signer.take(FIRST)?.whole.to_vec();
        // They are signed as the set that they are.
        if let Some(tag) = attributes.first_mut() {
            *tag = SET;
        }
        let algorithm = identifier(&signer.take(SEQUENCE)?)?;
        let signature = signer.take(OCTETS)?.value.to_vec();
        Ok(Self { certificate, digest, attributes, algorithm, signature })
    }
}

/// Digest and time of a `TSTInfo`.
fn read_info(info: &[u8]) -> Result<(Vec<u8>, Timestamp), StampError> {
    let mut info = Elements::of(info)?.sequence()?;
    if info.take(INTEGER)?.value != [1] {
        return Err(FORM);
    }
    info.take(IDENTIFIER)?;
    let mut imprint = info.sequence()?;
    let is_sha256 = identifier(&imprint.take(SEQUENCE)?)? == oid::SHA256;
    let digest = imprint.take(OCTETS)?.value;
    if !is_sha256 {
        return Err(StampError::Form("its digest is no SHA-256"));
    }
    info.take(INTEGER)?;
    let time = std::str::from_utf8(info.take(TIME)?.value).map_err(|_| FORM)?;
    Ok((digest.to_vec(), generalized_time(time).ok_or(FORM)?))
}

/// `YYYYMMDDHHMMSS[.fraction]Z`.
fn generalized_time(text: &str) -> Option<Timestamp> {
    let plain = text.strip_suffix('Z').filter(|text| text.is_ascii())?;
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) || !digits(fraction) || plain.ends_with('.') {
        return None;
    }
    let part = |from, to| whole.get(from..to);
    let point = if fraction.is_empty() { "" } else { "." };
    let fraction: String = fraction.chars().take(6).collect();
    let text = format!(
        "{}-{}-{}T{}:{}:{}{point}{fraction}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?
    );
    Timestamp::parse(&text).ok()
}

fn digest_of(algorithm: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    match algorithm {
        oid::SHA256 => Some(Sha256::digest(bytes).to_vec()),
        oid::SHA384 => Some(Sha384::digest(bytes).to_vec()),
        oid::SHA512 => Some(Sha512::digest(bytes).to_vec()),
        _ => None,
    }
}

/// The signed attributes must be of this content.
fn check_attributes(attributes: &[u8], digest: &[u8], info: &[u8]) -> Result<(), StampError> {
    let (mut kind, mut of) = (None, None);
    let mut all = Elements::of(Elements::of(attributes)?.take(SET)?.value)?;
    while let Some(attribute) = all.optional()? {
        let mut attribute = Elements::of(attribute.value)?;
        let name = attribute.take(IDENTIFIER)?.value;
        let mut values = Elements::of(attribute.take(SET)?.value)?;
        match name {
            oid::CONTENT_TYPE => kind = Some(values.take(IDENTIFIER)?.value),
            oid::MESSAGE_DIGEST => of = Some(values.take(OCTETS)?.value),
            _ => {}
        }
    }
    let own = digest_of(digest, info);
    if kind == Some(oid::TST_INFO) && own.is_some() && of == own.as_deref() {
        return Ok(());
    }
    Err(StampError::Signature("it is a signature of other content".to_owned()))
}

/// The algorithms that a signature can be by.
fn algorithms(algorithm: &[u8], digest: &[u8]) -> Option<Vec<&'static dyn SignatureVerificationAlgorithm>> {
    let [plain, sha256, sha384, sha512] = oid::RSA;
    let rsa = |digest: &[u8]| match digest {
        oid::SHA256 => Some(vec![ring::RSA_PKCS1_2048_8192_SHA256]),
        oid::SHA384 => Some(vec![ring::RSA_PKCS1_2048_8192_SHA384]),
        oid::SHA512 => Some(vec![ring::RSA_PKCS1_2048_8192_SHA512]),
        _ => None,
    };
    match algorithm {
        one if one == plain => rsa(digest),
        one if one == sha256 => rsa(oid::SHA256),
        one if one == sha384 => rsa(oid::SHA384),
        one if one == sha512 => rsa(oid::SHA512),
        oid::ECDSA_SHA256 => Some(vec![ring::ECDSA_P256_SHA256, ring::ECDSA_P384_SHA256]),
        oid::ECDSA_SHA384 => Some(vec![ring::ECDSA_P256_SHA384, ring::ECDSA_P384_SHA384]),
        oid::ED25519 => Some(vec![ring::ED25519]),
        _ => None,
    }
}

/// The fields of a certificate from its serial number on.
fn fields<'a>(certificate: &'a CertificateDer<'_>) -> Result<(Element<'a>, Elements<'a>), StampError> {
    let mut fields = Elements::of(certificate.as_ref())?.sequence()?.sequence()?;
    let first = fields.next()?;
    // The version stands before it, but in certificates of the first one.
    let serial = if first.tag == FIRST { fields.take(INTEGER)? } else { first };
    Ok((serial, fields))
}

fn issuer_and_serial(certificate: &CertificateDer<'_>) -> Result<(Vec<u8>, Vec<u8>), StampError> {
    let (serial, mut fields) = fields(certificate)?;
    fields.take(SEQUENCE)?;
    Ok((fields.take(SEQUENCE)?.whole.to_vec(), serial.value.to_vec()))
}

/// The last common name of its subject.
fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, mut fields) = fields(certificate).ok()?;
    // Algorithm, issuer, validity.
    for _ in 0..3 {
        fields.take(SEQUENCE).ok()?;
    }
    let mut names = fields.sequence().ok()?;
    let mut found = None;
    while let Some(name) = names.optional().ok()? {
        let mut pairs = Elements::of(name.value).ok()?;
        while let Some(pair) = pairs.optional().ok()? {
            let mut pair = Elements::of(pair.value).ok()?;
            if pair.take(IDENTIFIER).ok()?.value == oid::COMMON_NAME {
                let value = pair.next().ok()?;
                let is_text = matches!(value.tag, UTF8 | PRINTABLE);
                found = std::str::from_utf8(value.value).ok().filter(|_| is_text).map(ToOwned::to_owned);
            }
        }
    }
    found
}

#[cfg(test)]
#[path = "stamp_tests.rs"]
mod tests;
