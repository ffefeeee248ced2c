//! Small programs to copy from, one a file in `src/bin`.
//!
//! `cargo build --release --workspace --bins` builds them into `target/release`, beside `moe` and without
//! building Burn a second time; then run one by its name: `target/release/own_router`.
