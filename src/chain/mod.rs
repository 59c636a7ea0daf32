//! Schemes (what is hashed) and links (what joins events). No IO.
