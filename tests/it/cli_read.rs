//! cli_read
