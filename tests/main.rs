//! The whole program from outside: `disperse-host` with real arguments, real components and real pipes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests may, and so may their helpers"
)]

mod ahead;
mod api;
mod cache;
mod compile;
mod components;
mod concurrency;
mod control;
mod control_files;
mod crates;
mod cycles;
mod embedding;
mod examples;
mod facts;
mod features;
mod flat;
mod functions;
mod grants;
mod health;
mod hostile;
mod http;
mod inspect;
mod invocation;
mod kills;
mod limits;
mod man;
mod map;
mod map_input;
mod map_outputs;
mod mining;
mod mistakes;
mod operations;
mod outputs;
mod pace;
mod panics;
mod preview3;
mod programs;
mod projects;
mod quorum;
mod reading;
mod reports;
mod resume;
mod scratch;
mod server;
mod shortage;
mod signals;
mod signed;
mod simulate;
mod strangers;
mod support;
mod testing;
mod tls;
mod usage;
mod waiting;
mod wasi_http;
