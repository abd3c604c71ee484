//! Nothing but a Cargo.toml, whose comment says what it is for.
