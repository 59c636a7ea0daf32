//! The attacks of `demo --tamper`, each against the verification: what rows alone show is found, and where they show
//! nothing the limit stands in the first line.

use crate::support::{self, Home, TestDatabase};
use crate::verify::{append, connect, found, reader, request, run, verify};
use agenttrace::domain::{OrgId, OrgScope};
use agenttrace::store::WriteDb;
use agenttrace::store::private::tamper::{Attack, Tamper, tamper};
use agenttrace::verify::{Class, Verdict};
use sqlx::Connection as _;

pub(crate) async fn attack(database: &TestDatabase, organization: &str, how: Tamper) -> Option<String> {
    let db = WriteDb::connect(database.options.clone()).await.unwrap();
    let scope = OrgScope::enter(OrgId::new(organization).unwrap());
    let place = tamper(&db, &scope, how).await.unwrap_or_else(|e| panic!("{how}: {e}"));
    db.close().await;
    place
}

/// The guard refuses what it refused before.
async fn guard_is_on(database: &TestDatabase) {
    let mut c = connect(database).await;
    for sql in ["UPDATE audit_events SET actor_id = 'x'", "TRUNCATE audit_events"] {
        let refused = sqlx::raw_sql(sql).execute(&mut c).await;
        let rows: i64 =
            sqlx::query_scalar("SELECT count(*) FROM audit_events").fetch_one(&mut c).await.unwrap();
        assert!(refused.is_err() || (rows == 0 && sql.starts_with("UPDATE")), "{sql}");
    }
    c.close().await.unwrap();
}

#[tokio::test]
async fn what_rows_alone_show_of_an_attack_is_found_without_any_memory() {
    use Class as C;
    for (attack_kind, verdict, classes) in [
        (Attack::Edit, Verdict::Broken, &[C::ContentMismatch][..]),
        (Attack::EditRehashed, Verdict::Anomalous, &[C::MissingPredecessor]),
        (Attack::DeleteMiddle, Verdict::Anomalous, &[C::MissingPredecessor]),
        (Attack::DeleteOldest, Verdict::Anomalous, &[C::MissingPredecessor, C::MissingGenesis]),
        (Attack::Forge, Verdict::Anomalous, &[C::Fork]),
        (Attack::Fork, Verdict::Anomalous, &[C::Fork]),
        (Attack::ForgeHash, Verdict::Broken, &[C::ContentMismatch]),
        (Attack::SwapTimes, Verdict::Broken, &[C::ContentMismatch, C::ContentMismatch]),
    ] {
        let database = support::database().await;
        append(&database, "a", 0..60).await;
        append(&database, "b", 0..20).await;
        let place = attack(&database, "a", Tamper { attack: attack_kind, heads: true }).await;
        guard_is_on(&database).await;
        let db = reader(&database).await;
        let report = verify(&db, &request("a", 1)).await;
        let found = found(&report);
        let seen: Vec<Class> = found.iter().map(|(class, _)| *class).collect();
        let seen: Vec<Class> = seen.into_iter().filter(|class| *class != C::TimeBeforePredecessor).collect();
        assert_eq!((report.verdict, seen.as_slice()), (verdict, classes), "{attack_kind:?}: {found:?}");
        assert!(place.is_some(), "{attack_kind:?}");
        let other = verify(&db, &request("b", 1)).await;
        assert_eq!(other.verdict, Verdict::Intact, "{attack_kind:?}: {other:?}");
        database.drop_now().await;
    }
}

#[tokio::test]
async fn where_rows_alone_show_nothing_the_first_line_says_so() {
    let home = Home::new();
    for attack_kind in [
        Attack::TruncateTail,
        Attack::Reappend,
        Attack::RewriteMiddle,
        Attack::RewriteBeginning,
        Attack::RemoveOrganization,
        Attack::TruncateAll,
    ] {
        let database = support::database().await;
        append(&database, "a", 0..60).await;
        append(&database, "b", 0..20).await;
        attack(&database, "a", Tamper { attack: attack_kind, heads: true }).await;
        guard_is_on(&database).await;
        let (code, stdout, stderr) = run(&home, &database, &["verify", "--org", "a"]);
        let line = stdout.lines().next().unwrap_or_default();
        let gone = matches!(attack_kind, Attack::RemoveOrganization | Attack::TruncateAll);
        let words = if gone { "nothing to check" } else { "chain intact" };
        let said = format!("VERIFY a: {words} · newest end not proven: no earlier head · ");
        assert!(line.starts_with(&said), "{attack_kind:?}: {line} {stderr}");
        assert_eq!(code, if gone { 4 } else { 0 }, "{attack_kind:?}: {line}");
        database.drop_now().await;
    }
}

#[tokio::test]
async fn attacks_on_columns_leave_the_guard_as_it_was() {
    for attack_kind in [Attack::AddColumn, Attack::BlindSearch] {
        let database = support::database().await;
        append(&database, "a", 0..60).await;
        attack(&database, "a", Tamper { attack: attack_kind, heads: false }).await;
        guard_is_on(&database).await;
        let mut c = connect(&database).await;
        let sql = match attack_kind {
            Attack::AddColumn => "SELECT count(*) FROM audit_events WHERE tags = 'approved'",
            _ => "SELECT count(*) FROM audit_events WHERE search_vector = ''",
        };
        let hit: i64 = sqlx::query_scalar(sql).fetch_one(&mut c).await.unwrap();
        assert_eq!(hit, 1, "{attack_kind:?}");
        c.close().await.unwrap();
        database.drop_now().await;
    }
}
