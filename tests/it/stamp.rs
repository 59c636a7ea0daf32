//! Time stamps of RFC 3161, against the authority that OpenSSL is: what it reads of ours, and what we read of its answers.

use crate::support::{self, Home, TestDatabase};
use crate::verify::{append, run, run_json};
use agenttrace::evidence::stamp::{self, Authority, Stamp, StampError};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// An authority with a key of a kind, below one that is trusted; `None` where there is no OpenSSL.
struct Tsa {
    folder: tempfile::TempDir,
}

const CONFIG: &str = "
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[stamping]
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
[serving]
extendedKeyUsage = serverAuth
[tsa]
default_tsa = own
[own]
serial = serial
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256
signer_digest = sha256
ess_cert_id_chain = no
";

impl Tsa {
    fn of(kind: &[&str], extensions: &str) -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            println!("skipped: no openssl");
            return None;
        }
        let tsa = Self { folder: tempfile::tempdir().unwrap() };
        tsa.write("config", CONFIG.as_bytes());
        tsa.write("serial", b"01\n");
        let key = |name: &str| tsa.openssl(&[&["genpkey", "-out", name], kind].concat());
        key("ca.key");
        key("tsa.key");
        let ca = ["req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=Test Root", "-days", "30"];
        tsa.openssl(&[&ca[..], &["-config", "config", "-extensions", "ca", "-out", "ca.pem"]].concat());
        tsa.openssl(&[
            "req",
            "-new",
            "-key",
            "tsa.key",
            "-subj",
            "/O=x/CN=Test TSA",
            "-config",
            "config",
            "-out",
            "csr",
        ]);
        let sign = ["x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "77"];
        let more = ["-days", "20", "-extfile", "config", "-extensions", extensions, "-out", "tsa.pem"];
        tsa.openssl(&[&sign[..], &more].concat());
        Some(tsa)
    }

    fn rsa() -> Option<Self> {
        Self::of(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "stamping")
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn openssl(&self, arguments: &[&str]) {
        let output =
            Command::new("openssl").current_dir(self.folder.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Answers a request.
    fn answers(&self, request: &[u8]) -> Vec<u8> {
        self.write("request", request);
        let reply = ["ts", "-reply", "-config", "config", "-section", "own", "-queryfile", "request"];
        self.openssl(&[&reply[..], &["-inkey", "tsa.key", "-signer", "tsa.pem", "-out", "answer"]].concat());
        self.read("answer")
    }

    fn authorities(&self) -> Vec<Authority> {
        Authority::read(&self.read("ca.pem")).unwrap()
    }
}

#[test]
fn openssl_reads_our_request_and_we_verify_its_answer_as_it_does() {
    let kinds: [&[&str]; 3] = [
        &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    ];
    for kind in kinds {
        let Some(tsa) = Tsa::of(kind, "stamping") else { return };
        let text = b"acme.example/audit/a\n7\nAAAA\n";
        let answer = tsa.answers(&stamp::request(text));
        let stamp = Stamp::of_answer(&answer).unwrap();
        assert_eq!(stamp.is_of(text), Ok(()));
        assert_eq!(stamp.verify(&tsa.authorities()).as_deref(), Ok("Test TSA"), "{kind:?}");
        assert!(matches!(stamp.is_of(b"another"), Err(StampError::OfAnother(_))));
        assert_eq!(Stamp::of_answer(stamp.token()).as_ref(), Ok(&stamp), "the token by itself");
        tsa.write("text", text);
        tsa.openssl(&["ts", "-verify", "-data", "text", "-in", "answer", "-CAfile", "ca.pem"]);
        // By nobody who is trusted.
        let other = Tsa::of(kind, "stamping").unwrap();
        assert!(matches!(stamp.verify(&other.authorities()), Err(StampError::Untrusted(_))));
        assert!(stamp.verify(&[]).is_err());
    }
}

#[test]
fn no_changed_byte_of_a_token_gives_another_time() {
    let Some(tsa) = Tsa::rsa() else { return };
    let (text, authorities) = (b"text\n", tsa.authorities());
    let stamp = Stamp::of_answer(&tsa.answers(&stamp::request(text))).unwrap();
    let mut refused = 0;
    for at in 0..stamp.token().len() {
        let mut token = stamp.token().to_vec();
        token[at] ^= 1 << (at % 8);
        let Ok(other) = Stamp::parse(&token) else {
            refused += 1;
            continue;
        };
        match other.is_of(text).and_then(|()| other.verify(&authorities)) {
            // Outside of what is signed: versions, lists of algorithms, unsigned certificates.
            Ok(name) => assert_eq!((other.time, name.as_str()), (stamp.time, "Test TSA"), "byte {at}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > stamp.token().len() * 8 / 10, "{refused} of {}", stamp.token().len());
}

#[test]
fn a_certificate_that_is_not_for_time_stamps_gives_none() {
    let Some(tsa) = Tsa::rsa() else { return };
    tsa.answers(&stamp::request(b"text\n"));
    // The same key, certified by the same authority for another purpose.
    let sign = [
        "x509",
        "-req",
        "-in",
        "csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-set_serial",
        "78",
        "-days",
        "20",
    ];
    tsa.openssl(
        &[&sign[..], &["-extfile", "config", "-extensions", "serving", "-out", "serving.pem"]].concat(),
    );
    // OpenSSL's authority does not sign with such a one; its command for any signed content does.
    tsa.openssl(&["ts", "-reply", "-in", "answer", "-token_out", "-out", "token"]);
    let content = ["cms", "-verify", "-noverify", "-inform", "DER", "-in", "token", "-out", "info"];
    tsa.openssl(&content);
    for (certificate, is_trusted) in [("tsa.pem", true), ("serving.pem", false)] {
        let cms = ["cms", "-sign", "-binary", "-nodetach", "-in", "info", "-outform", "DER", "-md", "sha256"];
        let kind =
            ["-econtent_type", "1.2.840.113549.1.9.16.1.4", "-inkey", "tsa.key", "-signer", certificate];
        tsa.openssl(&[&cms[..], &kind, &["-out", "forged"]].concat());
        let verified = Stamp::of_answer(&tsa.read("forged")).unwrap().verify(&tsa.authorities());
        if is_trusted {
            assert_eq!(verified.as_deref(), Ok("Test TSA"));
        } else {
            assert!(matches!(verified, Err(StampError::Untrusted(_))), "{verified:?}");
        }
    }
}

fn sign(home: &Home, database: &TestDatabase) -> Value {
    let (code, document) = run_json(home, database, &["--org", "a", "pin", "create", "--sign"]);
    assert_eq!(code, 0, "{document}");
    document["checkpoint"].clone()
}

fn verified(file: &str, arguments: &[&str]) -> (i32, Value) {
    let home = Home::new();
    let mut command = home.agenttrace();
    let output =
        command.args(["evidence", "verify", file, "--format", "json"]).args(arguments).output().unwrap();
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
}

fn by_python(file: &str, arguments: &[&str]) -> Option<(i32, Value)> {
    let has = Command::new("python3")
        .args(["-c", "import cryptography, sys; assert sys.version_info >= (3, 11)"])
        .output();
    if !has.is_ok_and(|output| output.status.success()) {
        println!("skipped: no python3 of 3.11 or newer with the package cryptography");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/verify_bundle.py");
    let output =
        Command::new("python3").arg(script).arg(file).arg("--json").args(arguments).output().unwrap();
    Some((output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)))
}

#[tokio::test]
async fn a_bundle_shows_when_its_checkpoint_was_there_to_whoever_trusts_the_authority() {
    let Some(tsa) = Tsa::rsa() else { return };
    let (database, home) = (support::database().await, Home::new());
    append(&database, "a", 0..30).await;
    let (_, key, _) = run(&home, &database, &["pin", "keygen", "acme.example/audit"]);
    let key = key.trim();
    sign(&home, &database);
    let file = |name: &str| home.path().join(name).display().to_string();
    let stamp =
        |arguments: &[&str]| run(&home, &database, &[&["--org", "a", "pin", "stamp"], arguments].concat());
    let (code, _, said) = stamp(&["--request", &file("request")]);
    assert_eq!(code, 0, "{said}");
    std::fs::write(file("answer"), tsa.answers(&std::fs::read(file("request")).unwrap())).unwrap();
    // What a stranger has stamped, and who is not trusted, is not kept.
    std::fs::write(file("other"), tsa.answers(&stamp::request(b"x"))).unwrap();
    let (code, _, said) = stamp(&["--answer", &file("other")]);
    assert!(code == 1 && said.contains("of another text"), "{said}");
    let stranger = Tsa::rsa().unwrap();
    let (code, _, said) = stamp(&["--answer", &file("answer"), "--tsa", &stranger.path("ca.pem")]);
    assert!(code == 1 && said.contains("not by a trusted authority"), "{said}");
    let (code, _, said) = stamp(&["--answer", &file("answer"), "--tsa", &tsa.path("ca.pem")]);
    assert!(code == 0 && said.contains("by Test TSA"), "{said}");

    let export = |name: &str| {
        let (code, _, said) =
            run(&home, &database, &["--org", "a", "evidence", "export", "-o", &file(name), "--all-time"]);
        assert_eq!(code, 0, "{said}");
    };
    export("bundle");
    let ca = tsa.path("ca.pem");
    for (arguments, state, code) in [
        (vec!["--trust", key, "--tsa", &ca], "shown", 0),
        (vec!["--trust", key], "not_shown", 4),
        (vec!["--trust", key, "--tsa", &stranger.path("ca.pem")], "not_shown", 4),
    ] {
        let (found, document) = verified(&file("bundle"), &arguments);
        assert_eq!((found, &document["parts"]["time"]["state"]), (code, &Value::from(state)), "{document}");
        if let Some((found, document)) = by_python(&file("bundle"), &arguments) {
            assert_eq!(
                (found, &document["parts"]["time"]["state"]),
                (code, &Value::from(state)),
                "{document}"
            );
        }
    }
    // A time stamp of another checkpoint in its place is refuted, whoever trusts whom.
    append(&database, "a", 30..40).await;
    sign(&home, &database);
    export("later");
    let line =
        |text: &str, begins: &str| text.lines().find(|line| line.starts_with(begins)).unwrap().to_owned();
    let (first, later) =
        (std::fs::read_to_string(file("bundle")).unwrap(), std::fs::read_to_string(file("later")).unwrap());
    let mut forged = String::new();
    for one in later.lines().filter(|line| !line.starts_with("seal ") && !line.starts_with("end ")) {
        forged.push_str(&format!("{one}\n"));
        if one.starts_with("before ") {
            forged.push_str(&format!("{}\n", line(&first, "stamp ")));
        }
    }
    forged.push_str("seal -\n");
    let digest = agenttrace::chain::sha256(&forged);
    std::fs::write(file("forged"), format!("{forged}end {digest}\n")).unwrap();
    let (code, document) = verified(&file("forged"), &["--trust", key]);
    assert_eq!((code, &document["parts"]["time"]["state"]), (1, &Value::from("fails")), "{document}");
    if let Some((code, document)) = by_python(&file("forged"), &["--trust", key]) {
        assert_eq!((code, &document["parts"]["time"]["state"]), (1, &Value::from("fails")), "{document}");
    }
}
