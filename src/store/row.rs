//! Rows of `audit_events` to domain types.
