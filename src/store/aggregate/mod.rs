//! Counts, sums and histograms of events, and what is known of organisations.

pub mod answers;
pub mod histogram;
pub mod organizations;
pub mod summary;
