//! How the hashes of each organisation are made, as far as samples tell.

use crate::chain::head::Memory;
use crate::domain::OrgScope;
use crate::store::aggregate::organizations;
use crate::store::{ReadDb, StoreError};
use crate::verify;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// Organisations whose schemes are looked for.
const SAMPLED: usize = 20;

/// The scheme of an organisation's trail.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the output")]
pub struct SchemeOf {
    pub organization_id: String,
    pub name: &'static str,
    /// No row of the sample fitted any scheme.
    pub guessed: bool,
    /// Part of the sample that it fits, 0 to 1.
    pub confidence: f64,
    /// Rows of the sample.
    pub sample: u64,
}

/// The schemes of the first organisations, by id, and how many organisations there are.
///
/// # Errors
/// [`StoreError`].
pub async fn schemes(db: &ReadDb, cancel: &CancellationToken) -> Result<(Vec<SchemeOf>, usize), StoreError> {
    let all = organizations::list(db, cancel).await?;
    let count = all.len();
    let mut schemes = Vec::new();
    // What the rows tell.
    let nothing = Memory::default();
    let source = verify::SchemeSource::Remembered(&nothing);
    for organization in all.into_iter().take(SAMPLED) {
        let organization_id = organization.id.as_str().to_owned();
        let detected = verify::detect(db, &OrgScope::enter(organization.id), source, cancel).await?;
        let verify::SchemeUsed { name, guessed, confidence } = detected.used;
        schemes.push(SchemeOf { organization_id, name, guessed, confidence, sample: detected.rows });
    }
    Ok((schemes, count))
}
