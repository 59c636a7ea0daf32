use super::*;
use proptest::prelude::*;

#[test]
fn a_request_is_der_of_the_digest_and_asks_for_the_certificate() {
    let request = request(b"x");
    assert_eq!(request.len(), 59);
    let mut whole = Elements::of(&request).unwrap().sequence().unwrap();
    assert_eq!(whole.take(INTEGER).unwrap().value, [1]);
    let mut imprint = whole.sequence().unwrap();
    assert_eq!(identifier(&imprint.take(SEQUENCE).unwrap()).unwrap(), oid::SHA256);
    let digest: [u8; 32] = Sha256::digest(b"x").into();
    assert_eq!(imprint.take(OCTETS).unwrap().value, digest);
    assert_eq!(whole.next().unwrap().value, [0xff]);
    assert!(whole.optional().unwrap().is_none() && imprint.optional().unwrap().is_none());
}

#[test]
fn the_time_of_a_stamp_is_utc_with_or_without_a_fraction() {
    let time = |text: &str| generalized_time(text).map(Timestamp::to_rfc3339);
    assert_eq!(time("20260115095800Z").as_deref(), Some("2026-01-15T09:58:00.000000Z"));
    assert_eq!(time("20260115095800.123Z").as_deref(), Some("2026-01-15T09:58:00.123000Z"));
    assert_eq!(time("20260115095800.123456789Z").as_deref(), Some("2026-01-15T09:58:00.123456Z"));
    for bad in [
        "20260115095800",
        "202601150958Z",
        "20260115095800.Z",
        "20261315095800Z",
        "2026011509580aZ",
        "é0260115095800Z",
        "",
    ] {
        assert_eq!(time(bad), None, "{bad}");
    }
}

#[test]
fn a_refusal_is_told_from_a_stamp() {
    // PKIStatusInfo with status 2, rejection.
    assert_eq!(Stamp::of_answer(&[0x30, 5, 0x30, 3, 2, 1, 2]), Err(StampError::Refused(2)));
    assert_eq!(Stamp::of_answer(&[0x30, 5, 0x30, 3, 2, 1, 0]), Err(FORM), "granted, and none is there");
    assert_eq!(Stamp::of_answer(b"<html>"), Err(FORM));
}

#[test]
fn a_file_without_certificates_trusts_nobody() {
    assert!(Authority::read(b"").is_err());
    let pem = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(Authority::read(pem).unwrap_err().contains("not a certificate"));
}

proptest! {
    #[test]
    fn any_bytes_give_a_stamp_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300), depth in 0_usize..9) {
        let _ = Stamp::of_answer(&bytes);
        let nested = (0..depth).fold(bytes, |inner, _| {
            let length = inner.len() as u16;
            [&[0x30, 0x82, (length >> 8) as u8, length as u8][..], &inner].concat()
        });
        let _ = Stamp::of_answer(&nested);
        let _ = Stamp::parse(&nested);
    }
}
