//! What is done to databases on the private server only: making them, the demo's trail, rehearsals of attacks.

pub mod databases;
pub mod demo_trail;
pub mod tamper;
