//! The host of Disperse. This crate is the binary `disperse-host`; its one public door is [`main`].
//!
//! The floors, from the top; a room imports only from floors below its own:
//!
//! | floor | rooms | |
//! |---|---|---|
//! | 7 | `cli` | words in, exit code out |
//! | 6 | `run` | the only room that knows every other |
//! | 5 | `driver`, `operation` | the loop; where actions come from |
//! | 4 | `worker`, `transport` | the life of one worker; how orders reach it |
//! | 3 | `settings`, `sandbox`, `report`, `script` | the manifest; wasmtime; words out; tests: what workers answer, and the log |
//! | 2 | `inbox`, `control`, `digest`, `signer`, `grants`, `http`, `limits`, `logger`, `units` | what the parts say to each other and to who asks from outside, what is open to workers, how it is reached, and in which amounts |
//! | 1 | `disperse-scheduler` | decides, and knows nothing of all this |

mod cli;
mod control;
mod digest;
mod driver;
#[cfg(test)]
mod fuzz;
mod grants;
mod http;
mod inbox;
mod limits;
mod logger;
mod operation;
mod report;
mod run;
mod sandbox;
mod script;
mod settings;
mod signer;
mod transport;
mod units;
mod worker;

pub use cli::main;
