//! The end of a turn that the host spends on a guest.
//!
//! Fuel ends the turns of what a guest computes. What the host does for it burns none: a guest that calls the host ten thousand
//! times in a turn keeps its thread for as long as those calls take. So the store has a hook, which wasmtime calls at each way
//! from a guest into the host and back: for functions of the host, for what composed components have transcoded, and for
//! wasmtime's own helpers. On a way back in a turn that has lasted too long it leaves the guest one unit of fuel before the next
//! turn, and the guest ends this one at its next check of fuel, which is at the next loop or function. The fuel that it has in
//! all stays the same, to the unit: only *when* it yields depends on the clock.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use wasmtime::{CallHook, CallHookHandler, Result, StoreContextMut};
use wasmtime_wasi::async_trait;

use super::pace::Debt;
use crate::{
    sandbox::{
        engine::YIELD_INTERVAL,
        imports::{charge::let_others, state::State},
    },
    units::Time,
};

/// How long a turn may last before it is ended at the next call that takes [`LONG`]. A plain turn takes a twentieth of that.
const TURN_MAX: Duration = Duration::from_millis(1);

/// The shortest call after which a turn is ended. **Not for speed**: compiled code has its fuel in a register and takes it up
/// again after each call of a function and each check of fuel, but not after `memory.grow`, where what is changed here would be
/// lost. A growth by something is told by the limiter; one by nothing takes a hundredth of this. A turn of nothing but shorter
/// calls is ended by the fuel that the calls themselves burn, after a tenth of a second.
const LONG: Duration = Duration::from_micros(5);

/// The clock is read on one way back of so many, until a turn is old: reading it takes as long as a part of the shortest call.
const READ_EVERY: u8 = 4;

/// How many long calls a guest may make after its turn should have ended, and how long they may take together. Code without a
/// loop or a call of its own never checks its fuel, but no compiler makes so much of it.
const LATE_CALLS_MAX: u32 = 16;
const LATE_MAX: Duration = Duration::from_millis(200);

/// A guest that does not check its fuel.
#[derive(Debug, thiserror::Error)]
#[error("called the host for {0} without a loop or a function of its own in between")]
struct NeverYields(Time);

/// What the hook of one store knows.
pub(crate) struct Turn {
    debt: Debt,
    /// The turn in which the guest last called the host.
    called_in: Duration,
    /// When that was, if this turn is looked at closely.
    called_at: Duration,
    /// The ways back since the clock was read.
    unread: u8,
    /// Whether the turn has lasted so long that calls are timed.
    is_old: bool,
    /// Whether the guest was left no fuel for this turn.
    is_over: bool,
    /// The long calls since then, and the time that they took.
    late_calls: u32,
    late: Duration,
}

impl Turn {
    /// `debt`: where [`Pace`](super::pace::Pace) notes when turns begin.
    pub(crate) fn new(debt: Debt) -> Self {
        Self {
            debt,
            called_in: Duration::ZERO,
            called_at: Duration::ZERO,
            unread: 0,
            is_old: false,
            is_over: false,
            late_calls: 0,
            late: Duration::ZERO,
        }
    }

    /// Takes note of a way in or out.
    ///
    /// # Errors
    /// The guest makes long calls and never checks its fuel; traps it.
    pub(crate) fn hook(&mut self, store: StoreContextMut<'_, State>, way: CallHook) -> Result<()> {
        match way {
            CallHook::CallingHost => {
                self.called_in = self.debt.turn();
                if self.is_old {
                    self.called_at = self.debt.now();
                }
                Ok(())
            }
            CallHook::ReturningFromHost => self.back(store),
            CallHook::CallingWasm | CallHook::ReturningFromWasm => Ok(()),
        }
    }

    fn back(&mut self, mut store: StoreContextMut<'_, State>) -> Result<()> {
        let has_grown = store.data_mut().limiter.take_grown();
        let turn = self.debt.turn();
        if turn != self.called_in {
            // The call let others have a turn. A growth that waited for memory does so too, and its fuel is left alone; the
            // next check of fuel passes here again.
            self.is_old = false;
            return match !has_grown && std::mem::take(&mut self.is_over) {
                true => store.fuel_async_yield_interval(Some(YIELD_INTERVAL)),
                false => Ok(()),
            };
        }
        self.unread += 1;
        if !self.is_old && self.unread < READ_EVERY {
            return Ok(());
        }
        self.unread = 0;
        let now = self.debt.now();
        if now.saturating_sub(turn) < TURN_MAX {
            self.is_old = false;
            return Ok(());
        }
        if !std::mem::replace(&mut self.is_old, true) {
            return Ok(());
        }
        let took = now.saturating_sub(self.called_at);
        if took < LONG || has_grown {
            return Ok(());
        }
        if std::mem::replace(&mut self.is_over, true) {
            self.late_calls += 1;
            self.late += took;
            return match self.late_calls >= LATE_CALLS_MAX && self.late >= LATE_MAX {
                true => Err(NeverYields(Time::from(self.late)).into()),
                false => Ok(()),
            };
        }
        (self.late_calls, self.late) = (0, Duration::ZERO);
        store.fuel_async_yield_interval(Some(1))
    }
}

/// The hook of a guest whose objects are collected. Its code does not take up its fuel again after an object was made, so that
/// what [`Turn`] does to fuel would give it more, each time. So this ends a turn by itself, within the call: slower, as each
/// event is a future, and without anything that the guest could notice. A collection lets others have a turn after every
/// 16,384 objects, whatever this does. One object is one piece: an array that fills a worker's 64 MiB takes 60 ms, and one that
/// fills 1 GiB takes 0.7 s (`tests/hostile/collected.rs`).
pub(crate) struct CollectedTurn {
    debt: Debt,
    /// The turn in which the guest last called the host, in nanoseconds.
    called_in: AtomicU64,
}

impl CollectedTurn {
    pub(crate) fn new(debt: Debt) -> Self {
        Self {
            debt,
            called_in: AtomicU64::new(0),
        }
    }

    fn turn(&self) -> u64 {
        u64::try_from(self.debt.turn().as_nanos()).unwrap_or(u64::MAX)
    }

    fn is_old(&self) -> bool {
        self.debt.now().saturating_sub(self.debt.turn()) >= TURN_MAX
    }
}

#[async_trait]
impl CallHookHandler<State> for CollectedTurn {
    async fn handle_call_event(&self, _: StoreContextMut<'_, State>, way: CallHook) -> Result<()> {
        let turn = self.turn();
        match way {
            CallHook::CallingHost => self.called_in.store(turn, Ordering::Relaxed),
            CallHook::ReturningFromHost if turn == self.called_in.load(Ordering::Relaxed) && self.is_old() => {
                let_others().await;
            }
            _ => {}
        }
        Ok(())
    }
}
