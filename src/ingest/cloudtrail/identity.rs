//! Who made a call.

use super::Call;
use crate::domain::ActorType;
use crate::ingest::record::Members;

/// Who acted.
pub(super) struct Actor {
    pub(super) kind: ActorType,
    pub(super) id: String,
    pub(super) email: Option<String>,
}

/// The account's owner, as every alarm and benchmark calls it.
pub(super) const ROOT: &str = "root";

impl Actor {
    pub(super) fn of(record: &Members<'_>, identity: Option<&Members<'_>>, call: &Call) -> Self {
        let Some(identity) = identity else {
            let id = if call.insight { "cloudtrail.amazonaws.com" } else { "aws" };
            return Self { kind: ActorType::System, id: id.to_owned(), email: None };
        };
        let kind = identity.some_text("type");
        let principal = identity.some_text("principalId");
        let issuer = identity
            .object("sessionContext")
            .and_then(|c| c.object("sessionIssuer"))
            .and_then(|i| i.some_text("userName"));
        // The name of a role's session stands behind the colon. With an @ in it, it is a person behind a role.
        let session =
            principal.as_deref().and_then(|p| p.split_once(':')).map(|(_, session)| session.to_owned());
        let person = center_user(record, identity, call);
        let user = person.clone().or_else(|| identity.some_text("userName"));
        let email = [session, user.clone()]
            .into_iter()
            .flatten()
            .find(|name| name.contains('@') && name.chars().count() <= 255);
        if kind.as_deref() == Some("Root") {
            return Self { kind: ActorType::User, id: ROOT.to_owned(), email };
        }
        let kind = match kind.as_deref() {
            _ if person.is_some() => ActorType::User,
            Some("AssumedRole" | "Role") if email.is_some() => ActorType::User,
            Some("IAMUser" | "FederatedUser" | "SAMLUser" | "WebIdentityUser" | "IdentityCenterUser") => {
                ActorType::User
            }
            None | Some("AWSService" | "Unknown") => ActorType::System,
            Some(_) => ActorType::Service,
        };
        let id = user
            .or(issuer)
            .or_else(|| identity.some_text("invokedBy"))
            .or(principal)
            .or_else(|| identity.some_text("accountId"))
            .unwrap_or_else(|| "aws".to_owned());
        Self { kind, id, email }
    }
}

/// The user of IAM Identity Center, who stands beside the identity: the name that was typed at the portal, else the
/// user on whose behalf a service acts.
fn center_user(record: &Members<'_>, identity: &Members<'_>, call: &Call) -> Option<String> {
    let center = matches!(call.service.as_str(), "sso" | "signin" | "sso-oauth" | "sso-directory");
    let unnamed = !identity.has("userName");
    let typed = (center && unnamed)
        .then(|| record.object("additionalEventData").and_then(|data| data.some_text("UserName")));
    let behalf = || {
        let own =
            matches!(identity.some_text("type").as_deref(), Some("IdentityCenterUser" | "Unknown") | None);
        identity.object("onBehalfOf").filter(|_| own && unnamed).and_then(|b| b.some_text("userId"))
    };
    typed.flatten().or_else(behalf)
}
