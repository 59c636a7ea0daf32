//! Connection strings with an environment of their own.

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

fn reads(text: &str, env: &[(&str, &str)]) -> Result<Connection, Refused> {
    connection(&Secret::new(text), &|name| {
        env.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
    })
}

/// `USER@HOST:PORT/DATABASE` of each server.
fn servers(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    let shown = |o: &PgConnectOptions| {
        let host = o.get_socket().map_or(o.get_host().to_owned(), |s| s.display().to_string());
        format!("{}@{host}:{}/{}", o.get_username(), o.get_port(), o.get_database().unwrap_or_default())
    };
    reads(text, env).unwrap().servers.iter().map(shown).collect()
}

fn mode(text: &str, env: &[(&str, &str)]) -> String {
    format!("{:?}", reads(text, env).unwrap().servers[0].get_ssl_mode())
}

fn password(connection: &Connection) -> String {
    // The driver shows it in this form only.
    let text = format!("{:?}", connection.servers[0]);
    text.split_once("password: Some(\"").unwrap().1.split('"').next().unwrap().to_owned()
}

#[test]
fn every_form_names_the_server() {
    for (text, wanted) in [
        ("postgres://ann@h:1/d", "ann@h:1/d"),
        ("postgresql://ann@h/d", "ann@h:5432/d"),
        ("postgres://ann@[::1]:1/d?sslmode=disable", "ann@::1:1/d"),
        ("postgres://ann@[2001:db8::1]/d", "ann@2001:db8::1:5432/d"),
        ("postgres://ann@/d?host=/run/x&port=7", "ann@/run/x:7/d"),
        ("postgres://ann@%2Frun%2Fx/d", "ann@/run/x:5432/d"),
        ("postgres:///d?user=ann&host=/run/x", "ann@/run/x:5432/d"),
        ("postgres://a%40b@h", "a@b@h:5432/a@b"),
        ("postgres://u@h/d?dbname=e&port=2&user=v&host=i", "v@i:2/e"),
        ("host=h port=1 dbname=d user=ann", "ann@h:1/d"),
        ("  host = 'h' dbname = 'a b\\'c' user=an\\ n ", "an n@h:5432/a b'c"),
        ("host=/run/x user=ann", "ann@/run/x:5432/ann"),
        ("hostaddr=127.0.0.1 user=ann", "ann@127.0.0.1:5432/ann"),
        ("host=h hostaddr=127.0.0.1 user=ann sslmode=require", "ann@127.0.0.1:5432/ann"),
    ] {
        assert_eq!(servers(text, &[]), [wanted], "{text}");
    }
    let several = ["u@a:1/d", "u@b:2/d", "u@::1:5432/d"];
    assert_eq!(servers("postgres://u@a:1,b:2,[::1]/d", &[]), several);
    assert_eq!(servers("host=a,b user=u dbname=d port=1", &[]), ["u@a:1/d", "u@b:1/d"]);
}

#[test]
fn without_a_user_it_is_the_one_of_the_system() {
    let user = whoami::username().unwrap();
    assert_eq!(servers("postgres://h", &[]), [format!("{user}@h:5432/{user}")]);
    // Whatever these say; psql does not look at them.
    assert_eq!(servers("host=h", &[("USER", "x"), ("LOGNAME", "y")]), [format!("{user}@h:5432/{user}")]);
}

#[test]
fn the_string_outranks_its_service_and_that_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_str().unwrap();
    fs::write(
        folder.path().join(".pg_service.conf"),
        "# ours\n[other]\nhost=o\n\n[aud]\nhost=h\nport=1\nuser=ann\n[bad]\nhostt=h\n",
    )
    .unwrap();
    let env = [("HOME", home), ("PGPORT", "2"), ("PGDATABASE", "e")];
    for text in ["service=aud", "postgres://?service=aud", "postgres:///?service=aud"] {
        assert_eq!(servers(text, &env), ["ann@h:1/e"], "{text}");
    }
    assert_eq!(servers("postgres://bob@/d?service=aud", &env), ["bob@h:1/d"]);
    let by_variable = [("HOME", home), ("PGSERVICE", "aud")];
    assert_eq!(servers("postgres://", &by_variable), ["ann@h:1/ann"]);
    let file = format!("{home}/.pg_service.conf");
    assert_eq!(servers("", &[("PGSERVICEFILE", &file), ("PGSERVICE", "aud")]), ["ann@h:1/ann"]);

    let refused = reads("service=nope", &env).err().unwrap();
    assert_eq!(refused.text, "the service 'nope' is not defined");
    assert!(refused.hint.unwrap().contains(&file));
    let refused = reads("service=bad", &env).err().unwrap();
    assert_eq!(refused.text, format!("{file}:10: unknown parameter 'hostt'"));
    assert_eq!(refused.hint.unwrap(), "did you mean 'host'?");
    let refused = reads("service=aud servicefile=/nope", &env).err().unwrap();
    assert!(refused.text.starts_with("the service file /nope: No such file"), "{refused:?}");
}

#[test]
fn what_is_not_understood_is_refused_with_the_nearest_name() {
    for (text, why, hint) in [
        ("postgres://u@h/d?sslmod=disable", "unknown parameter 'sslmod'", "did you mean 'sslmode'?"),
        ("host=h databse=d", "unknown parameter 'databse'", "parameters are those of libpq"),
        ("host=h user_name=d", "unknown parameter 'user_name'", "did you mean 'user'?"),
        ("mysql://u@h/d", "'mysql' is not the scheme of a PostgreSQL URL", "the forms are"),
        ("http://u@h/d", "'http' is not the scheme of a PostgreSQL URL", "the forms are"),
        (
            "postgressql://u@h/d",
            "'postgressql' is not the scheme of a PostgreSQL URL",
            "did you mean 'postgresql'?",
        ),
        ("jdbc:postgresql://h/d", "a JDBC URL is not supported", "leave out 'jdbc:'"),
        ("postgresql+psycopg2://h/d", "the scheme names a driver", "write postgresql://"),
        ("audit", "neither a URL nor pairs of NAME=VALUE", "the forms are"),
        ("postgres://h/d?port", "a parameter has no '=' and no value", ""),
        ("postgres://[::1/d", "the ']' of an IPv6 address is missing", ""),
        ("postgres://[::1]x/d", "an IPv6 address is followed by neither a port nor a database", "[::1]:5432"),
        ("postgres://h/a%zz", "a '%' is not followed by two hexadecimal digits other than 00", "%25"),
        ("host='h", "the closing quote of a value is missing", ""),
        ("host=a,b port=1,2,3", "port: the numbers of hosts and ports differ", ""),
        ("host=h port=0", "port: not a number from 1 to 65535", ""),
        ("host=h sslmode=on", "sslmode: not a valid mode", "verify-full"),
        ("host=h target_session_attrs=master", "target_session_attrs: not a valid value", "primary"),
        ("host=h connect_timeout=soon", "connect_timeout: not a valid number of seconds", ""),
        ("host=h require_auth=scram-sha-256", "require_auth: the way of authentication cannot be", ""),
        ("host=h gssencmode=require", "gssencmode: GSSAPI is not supported", ""),
        ("host=h sslcrl=/x", "sslcrl: certificate revocation lists are not supported", ""),
        ("host=@abstract", "host: sockets in the abstract namespace are not supported", ""),
    ] {
        let refused = reads(text, &[]).err().unwrap_or_else(|| panic!("{text} was accepted"));
        assert!(refused.text.starts_with(why), "{text}: {refused:?}");
        assert!(refused.hint.unwrap_or_default().contains(hint), "{text}");
    }
    let refused = reads("host=h", &[("PGSSLMODE", "on")]).err().unwrap();
    assert_eq!(refused.text, "PGSSLMODE: not a valid mode");
    // Nothing is lost without these.
    for text in ["keepalives=1", "gssencmode=prefer", "client_encoding=LATIN1", "sslsni=1", "replication=off"]
    {
        reads(&format!("host=h {text}"), &[]).unwrap();
    }
}

#[test]
fn other_machines_have_to_prove_their_names() {
    for url in ["postgres://u@db.example.com/d", "postgres://u@10.1.2.3/d", "postgres://u@[2001:db8::1]/d"] {
        assert_eq!(mode(url, &[]), "VerifyFull", "{url}");
    }
    for url in ["postgres://u@localhost/d", "postgres://u@127.0.0.1/d", "postgres://u@[::1]/d"] {
        assert_eq!(mode(url, &[]), "Prefer", "{url}");
    }
    // A socket is not encrypted.
    for url in ["postgres://u@%2Ftmp/d", "postgres://u@db.example.com/d?host=/tmp"] {
        assert_eq!(mode(url, &[]), "Disable", "{url}");
    }
}

#[test]
fn a_mode_that_was_chosen_is_kept() {
    assert_eq!(mode("postgres://u@db.example.com/d?sslmode=require", &[]), "Require");
    assert_eq!(mode("postgres://u@h/d?application_name=x&ssl-mode=disable", &[]), "Disable");
    assert_eq!(mode("postgres://u@h/d?ssl=true", &[]), "Require");
    assert_eq!(mode("postgres://u@localhost/d?sslmode=verify-full", &[]), "VerifyFull");
    assert_eq!(mode("postgres://u@h/d", &[("PGSSLMODE", "prefer")]), "Prefer");
    // As many services write it: the server has to prove that it is not somebody in between.
    assert_eq!(mode("postgres://u@h/d?sslmode=require&channel_binding=require", &[]), "VerifyFull");
    assert_eq!(mode("postgres://u@h/d?sslmode=allow", &[]), "Prefer");
}

#[test]
fn files_of_tls_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("ca"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    fs::write(path("key"), "-----BEGIN PRIVATE KEY-----\n").unwrap();
    fs::write(path("locked"), "-----BEGIN ENCRYPTED PRIVATE KEY-----\n").unwrap();
    fs::write(path("empty"), "").unwrap();
    let (ca, key, empty, locked) = (path("ca"), path("key"), path("empty"), path("locked"));
    let of = |parameters: String| reads(&format!("host=h {parameters}"), &[]);
    let text = |parameters: String| of(parameters).err().unwrap().text;

    let refused = of("sslmode=verify-full sslrootcert=/nope.crt".to_owned()).err().unwrap();
    assert!(refused.text.starts_with("sslrootcert: /nope.crt: No such file"), "{refused:?}");
    assert!(refused.hint.unwrap().contains("sslrootcert=system"));
    let refused = reads("host=h", &[("PGSSLROOTCERT", "/nope.crt")]).err().unwrap();
    assert!(refused.text.starts_with("PGSSLROOTCERT: /nope.crt: "), "{refused:?}");
    assert!(text(format!("sslrootcert={empty}")).ends_with("the file holds no certificate in PEM form"));
    assert!(text(format!("sslcert={empty}")).starts_with(&format!("sslcert: {empty}: the file holds no")));
    assert_eq!(text(format!("sslcert={ca}")), "sslcert is given without sslkey");
    assert!(text(format!("sslcert={ca} sslkey={ca}")).ends_with("no private key in PEM form"));
    assert!(text(format!("sslcert={ca} sslkey={locked}")).contains("the key is encrypted"));
    fs::set_permissions(path("key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(text(format!("sslcert={ca} sslkey={key}")).ends_with("others can read or write the key"));
    fs::set_permissions(path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    of(format!("sslcert={ca} sslkey={key}")).unwrap();

    // As in libpq: the file makes more of 'require', is not needed for less, and 'system' is for all or nothing.
    assert_eq!(mode(&format!("host=h sslmode=require sslrootcert={ca}"), &[]), "VerifyCa");
    assert_eq!(mode("host=h sslmode=require sslrootcert=/nope.crt", &[]), "Require");
    assert_eq!(mode("host=localhost sslrootcert=system", &[]), "VerifyFull");
    assert!(text("sslmode=require sslrootcert=system".to_owned()).contains("sslmode=verify-full only"));
    of("sslmode=disable sslrootcert=/nope.crt sslcert=/nope".to_owned()).unwrap();

    // Where libpq looks by itself.
    fs::create_dir(folder.path().join(".postgresql")).unwrap();
    fs::copy(path("ca"), folder.path().join(".postgresql/root.crt")).unwrap();
    let home = folder.path().to_str().unwrap();
    assert_eq!(mode("host=h sslmode=require", &[("HOME", home)]), "VerifyCa");
}

#[test]
fn a_password_comes_from_the_string_the_environment_or_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_str().unwrap();
    let pgpass = folder.path().join(".pgpass");
    fs::write(&pgpass, "h:5432:d:ann:filed\nlocalhost:*:*:ann:socket\n").unwrap();
    fs::set_permissions(&pgpass, fs::Permissions::from_mode(0o600)).unwrap();
    let at = |text: &str, env: &[(&str, &str)]| password(&reads(text, env).unwrap());
    let env = [("HOME", home)];
    assert_eq!(at("postgres://ann@h/d", &env), "filed");
    assert_eq!(at("host=/var/run/postgresql user=ann", &env), "socket");
    assert_eq!(at("postgres://ann@h/e", &env), "");
    assert_eq!(at("postgres://ann@h/d", &[("HOME", home), ("PGPASSWORD", "env")]), "env");
    assert_eq!(at("postgres://ann:own@h/d", &[("HOME", home), ("PGPASSWORD", "env")]), "own");
    assert_eq!(at("host=h password='o w\\'n'", &[]), "o w'n");
    let named = format!("postgres://ann@h/d?passfile={}", pgpass.display());
    assert_eq!(at(&named, &[("HOME", "/nope"), ("PGPASSFILE", "/nope")]), "filed");
    assert!(!reads(&named, &[]).unwrap().has_password);

    fs::set_permissions(&pgpass, fs::Permissions::from_mode(0o644)).unwrap();
    let open = reads("postgres://ann@h,i/d", &env).unwrap();
    assert_eq!(password(&open), "");
    assert_eq!(
        open.remarks,
        [format!(
            "the password file {} is ignored: others can read or write it (mode 0644); chmod 0600 mends that",
            pgpass.display()
        )]
    );
}

#[test]
fn options_of_the_server_are_handed_on() {
    for (text, wanted) in [
        ("host=h options='-c geqo=off'", "-c geqo=off"),
        ("postgres://h?options=-c%20geqo%3Doff", "-c geqo=off"),
        ("postgres://h?options=-cgeqo=off", "-cgeqo=off"),
        ("postgres://h?options=-d&options[a.b]=x%20y", "-d -c a.b=x\\ y"),
    ] {
        let connection = reads(text, &[]).unwrap();
        assert_eq!(connection.servers[0].get_options(), Some(wanted), "{text}");
    }
}

#[test]
fn limits_and_kinds_are_libpqs() {
    let limit = |text: &str| reads(text, &[]).unwrap().connect_timeout.map(|t| t.as_secs());
    assert_eq!(limit("host=h"), None);
    assert_eq!(limit("host=h connect_timeout=1"), Some(2));
    assert_eq!(limit("host=h connect_timeout=30"), Some(30));
    assert_eq!(limit("host=h connect_timeout=0"), None);
    let kind = reads("host=h", &[("PGTARGETSESSIONATTRS", "prefer-standby")]).unwrap().wanted;
    assert!(kind == SessionKind::PreferStandby && kind.accepts(true, true) && !kind.accepts(true, false));
    assert!(SessionKind::ReadOnly.accepts(true, false) && !SessionKind::ReadWrite.accepts(true, false));
    assert!(SessionKind::Primary.accepts(true, false) && SessionKind::Any.accepts(true, true));
}

#[test]
fn errors_do_not_repeat_values() {
    for text in [
        "postgres://u:s3cret/x@h/d",
        "postgres://u:x@s3cret@h/d",
        "postgres://u@h/d?s3cret@h",
        "postgres://u@h/d?port=s3cret",
        "postgres://u@h/d?sslmode=s3cret",
        "postgres://u@h/d?hostaddr=s3cret",
        "postgres://u@h/d?target_session_attrs=s3cret",
        "postgres://u@h/d?s3cret%zz=1",
        "host=h password='s3cret",
        "host=h connect_timeout=s3cret",
        "s3cret",
    ] {
        let refused = reads(text, &[]).err().unwrap_or_else(|| panic!("{text} was accepted"));
        assert!(!format!("{refused:?}").contains("s3cret"), "{text}: {refused:?}");
    }
}
