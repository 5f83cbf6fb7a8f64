//! The real scheduler in virtual time, with workers that are only numbers.
//!
//! Two sorts, told apart by what is asked. A [`Load`] asks how *fast* the scheduler is: many workers, hardly any
//! trouble. A [`Scenario`] asks how *well* it decides: workers and actions of which it is known which are bad, so that
//! afterwards it can be told which were taken out wrongly, what was lost, and how much of its quota each account spent.
//!
//! ```
//! use disperse_scheduler::sim::{Scenario, contenders, play};
//!
//! let world = Scenario { black_holes: 1, ..Scenario::default() };
//! for (name, policy) in contenders() {
//!     let outcome = play(&world, &policy)?;
//!     println!("{name}: {} attempts, done after {:?}", outcome.attempts, outcome.makespan);
//! }
//! # Ok::<(), disperse_scheduler::PolicyError>(())
//! ```

mod accounts;
mod load;
mod outcome;
pub(crate) mod play;
mod presets;
mod scenario;
pub(crate) mod service;
mod worker;

pub use accounts::Spending;
pub use load::{Load, Tally, run};
pub use outcome::{Figure, Outcome, Series};
pub use play::{play, play_seeds};
pub use presets::{Preset, contenders, presets};
pub use scenario::{Bad, Scenario, Span};

use crate::{BucketId, Event, KindId, PoolId, WorkerId};

/// What the scheduler is told first: so many kinds, one pool, and so many workers in it, each with these buckets.
fn opening(
    kinds: u32,
    workers: u32,
    slots: u32,
    buckets: impl Fn(WorkerId) -> Vec<BucketId>,
) -> impl Iterator<Item = Event> {
    let pool = PoolId(0);
    let define = move |kind| Event::KindDefined {
        kind,
        pools: vec![pool],
    };
    let join = move |worker| Event::WorkerJoined {
        worker,
        pool,
        slots,
        buckets: buckets(worker),
        owner: None,
    };
    let kinds = (0..kinds).map(KindId).map(define);
    kinds.chain((0..workers).map(WorkerId).map(join))
}
