//! A program that writes its audit events with [`AuditWriter`]: each is on disk before the work that it records is done,
//! whether the database is there or not.
//!
//! ```text
//! DATABASE_URL=postgres://localhost/audit cargo run --example audit_writer
//! ```
//!
//! Stop the database while it runs, start it again, or kill this program and start it anew: no event is lost or doubled.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example that is looked at")]

use agenttrace::domain::{Action, ActorType, Category, Json, NewEvent, OrgId, Severity, Timestamp};
use agenttrace::ingest::{AppendError, AuditSettings, AuditWriter};
use agenttrace::store::{WriteSettings, WriteTarget};
use std::time::{Duration, SystemTime};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("DATABASE_URL")?;
    let target = WriteTarget::at(url.parse()?, WriteSettings::default());
    // A folder on a disk of this machine: each process has its own.
    let spool = std::env::var("SPOOL").unwrap_or_else(|_| "audit-spool".to_owned());
    let settings = AuditSettings { source: "billing".to_owned(), ..AuditSettings::new(spool) };
    let writer = AuditWriter::open(target, settings).await?;

    for n in 0..100 {
        let event = role_changed(n)?;
        match writer.append(event).await {
            // It is on disk: go on with the work that it records.
            Ok(()) => {}
            // Nobody takes events any more. What to do then is a decision of the program: here it stops.
            Err(error @ AppendError::Full { .. }) => {
                eprintln!("{error}");
                break;
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let last = writer.close(Duration::from_secs(10)).await;
    println!("{}", last.prometheus());
    if last.pending > 0 {
        eprintln!("{} events wait in the spool for the next start", last.pending);
    }
    for file in writer.dead_letters() {
        eprintln!("what cannot be stored is in {}", file.display());
    }
    Ok(())
}

/// An event. Its id is what makes a second delivery of it the same one: take one that a retry of the same work has again.
fn role_changed(n: u32) -> Result<NewEvent, Box<dyn std::error::Error>> {
    let micros = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_micros();
    Ok(NewEvent {
        event_id: format!("billing-{micros}-{n}"),
        timestamp: Timestamp::from_micros(i64::try_from(micros)?),
        organization_id: OrgId::new("acme")?,
        project_id: None,
        actor_type: ActorType::Service,
        actor_id: "billing".to_owned(),
        actor_email: None,
        actor_ip: None,
        actor_user_agent: None,
        event_category: Category::Admin,
        event_type: "user.role_changed".to_owned(),
        event_severity: Severity::Warning,
        resource_type: "user".to_owned(),
        resource_id: format!("u-{n}"),
        resource_name: None,
        action: Action::Update,
        previous_state: Some(Json::from_trusted(r#"{"role":"viewer"}"#)),
        new_state: Some(Json::from_trusted(r#"{"role":"admin"}"#)),
        request_id: format!("r-{n}"),
        session_id: None,
    })
}
