//! The host as a library. Its public items are the crate's public API: `lib.rs` exports them, and `docs/api.txt` lists
//! it.

mod attempt;
mod builder;
mod component;
mod error;
mod event;
mod host;
mod limits;
mod operation;
mod policy;
mod pool;
mod progress;
mod quota;
mod run;
mod summary;
mod task;

pub use attempt::{Attempt, Failure};
pub use builder::RunBuilder;
pub use component::Component;
pub use error::{ComponentError, ControlError, HostError, RunError, StartError};
pub use event::{Event, FailureClass, Health, Level};
pub use host::{Compiler, Host, HostBuilder};
pub use limits::Limits;
pub use operation::Operation;
pub use policy::Policy;
pub use pool::{Pool, Worker};
pub use progress::Progress;
pub use quota::Quota;
pub use run::{Control, Run};
pub use summary::{KindSummary, Summary, WorkerSummary};
pub use task::{Action, Reason, Refusal, Task, TaskError};
