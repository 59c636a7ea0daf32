//! `agenttrace db grant`, `revoke` and `grants`: who sees which organisation under row-level security.

use super::Context;
use crate::domain::{OrgId, Safe};
use crate::error::{Error, Result};
use crate::export::json;
use crate::store::schema::grants::{self, Grant};
use std::io::Write;

/// A role and an organisation.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct GrantArgs {
    /// Name of the role
    role: String,
    /// The organisation
    organization: String,
}

/// Grants, or takes back.
///
/// # Errors
/// When row-level security is not in force, or the role may not.
pub(super) async fn change(context: &Context, args: &GrantArgs, grant: bool) -> Result<()> {
    let organization =
        OrgId::new(&args.organization).map_err(|e| Error::usage(format!("{}: {e}", args.organization)))?;
    let (db, _target) = context.writer().await?;
    let changed = if grant {
        grants::grant(&db, &args.role, &organization).await
    } else {
        grants::revoke(&db, &args.role, &organization).await
    };
    let unknown = grant && changed.is_ok() && !grants::has_events(&db, &organization).await?;
    db.close().await;
    let (role, organization) =
        (Safe::from_untrusted(&args.role), Safe::from_untrusted(organization.as_str()));
    context.out.remark(match (grant, changed?) {
        (true, true) => format!("'{role}' sees {organization} now"),
        (true, false) => format!("'{role}' saw {organization} already"),
        (false, true) => {
            format!("'{role}' does not see {organization} any more, unless by way of another role")
        }
        (false, false) => format!("'{role}' had not been granted {organization}"),
    });
    if unknown {
        context.out.remark(format_args!("{organization} has no events yet; is that its name?"));
    }
    Ok(())
}

/// Lists what is granted.
///
/// # Errors
/// As [`change`].
pub(super) async fn list(context: &Context, as_json: bool) -> Result<()> {
    let (db, _target) = context.writer().await?;
    let found = grants::list(&db).await;
    db.close().await;
    let found = found?;
    let mut to = context.out.results();
    if as_json {
        #[derive(serde::Serialize)]
        struct Body<'a> {
            grants: &'a [Grant],
        }
        json::write_line(&mut to, &json::general_document(Body { grants: &found }))?;
        return Ok(to.flush()?);
    }
    for Grant { role, organization_id, granted_by, granted_at, role_exists } in &found {
        let gone = if *role_exists { "" } else { "  NO SUCH ROLE" };
        writeln!(
            to,
            "{:<24} {:<32} {granted_at} by {}{gone}",
            Safe::from_untrusted(role),
            Safe::from_untrusted(organization_id),
            Safe::from_untrusted(granted_by),
        )?;
    }
    if found.is_empty() {
        context.out.remark("nothing is granted: readers see no events");
    }
    Ok(to.flush()?)
}
