//! Draws the conclusions of an attempt's end about its worker.
//!
//! An explicit fault (the worker could not be started) counts at once; a worker's report that it is unfit is checked
//! (`unfit.rs`). Failures are circumstantial: a worker that fails several actions in a row is only given work slowly
//! until there is a verdict (`verdict.rs`), and what follows then is capped.

use std::time::Duration;

use crate::{
    ids::Wx,
    model::{action::AttemptContext, health::Standing},
    outcome::{Class, End, Evicted},
    rules::{busy, health, outage, quarantine, quorum, skill, slow, standing, unfit},
    state::{FollowUp, State},
};

/// Draws the conclusions of an attempt's end about the worker that made it. A failure that came too
/// late to matter accuses no worker.
#[inline]
pub(crate) fn judge(state: &mut State, wx: Wx, of: AttemptContext, end: End, took: Duration) {
    let AttemptContext { action, kx, current } = of;
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    match end.class() {
        Class::Ok => {
            worker.tally.ok += 1;
            worker.took.add(took);
            let px = worker.px;
            state.retry_budget.earn();
            if let Some(kx) = kx {
                slow::note_duration(state, kx, took);
                if let Some(kind) = state.kinds.get_mut(kx) {
                    kind.took.add(took);
                }
            }
            outage::note_success(state, px, wx, took);
            busy::widen(state, wx);
            // A vote counts for its worker when others agree: see `quorum.rs`.
            if !quorum::is_unconfirmed(state, wx, end) {
                if let Some(kx) = kx {
                    health::record_success(state, wx, kx);
                }
                health::succeeded(state, wx);
            }
        }
        Class::Busy => {
            worker.tally.busy += 1;
            let wait = match end {
                End::Busy { wait } => wait,
                _ => Duration::ZERO,
            };
            busy::rest_busy(state, wx, action, wait);
        }
        Class::Transient | Class::Trap if current => {
            worker.tally.failed += 1;
            let px = worker.px;
            outage::note_failure(state, px, wx, action);
            if let Some(kx) = kx {
                skill::note_failure(state, wx, kx, action);
            }
            health::failed(state, wx, action, kx);
            match end {
                End::Transient => outage::note_outage(state, px, wx, action),
                _ => outage::probe_again(state, px),
            }
        }
        Class::WorkerFault => {
            worker.tally.faults += 1;
            match (end, worker.standing) {
                (End::Unfit, _) => unfit::unfit(state, wx, &of, took),
                (End::Unstartable, Standing::Evicted(_) | Standing::Gone) => {}
                (End::Unstartable, _) => {
                    standing::set_standing(state, wx, Standing::Evicted(Evicted::Unfit));
                    state.follow_ups.push(FollowUp::Annul(wx));
                }
                (_, Standing::Usable { .. }) => quarantine::quarantine(state, wx, false),
                _ => {}
            }
        }
        Class::Lost => worker.tally.lost += 1,
        Class::Host => health::note_shortage(state, wx),
        Class::Permanent | Class::Transient | Class::Trap | Class::Neutral => {}
    }
}
