//! Small programs to copy from, one a file in `src/bin`. Run one by its name:
//! `cargo run --release -p moe-examples -p moe-cli --bin own_router`.
