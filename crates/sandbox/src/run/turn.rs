//! Ends long turns that consist of host calls.
//!
//! Fuel ends turns in which a guest computes. Host calls burn no fuel by themselves: a guest that calls the host ten
//! thousand times in a turn keeps its thread for the duration of those calls. So the store has a hook, which wasmtime
//! calls at each transition from a guest into the host and back: for host functions, for strings that composed
//! components have transcoded, and for wasmtime's own helpers. On a return in a turn that has lasted too long, the hook
//! leaves the guest one unit of fuel for this turn. The guest then yields at its next check of fuel, at the next loop
//! or function. Its total fuel is not changed, not by one unit: only *when* it yields depends on the clock.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use wasmtime::{CallHook, CallHookHandler, Result, StoreContextMut};
use wasmtime_wasi::async_trait;

use super::pace::DeficitCounter;
use crate::{
    engine::YIELD_INTERVAL,
    imports::{charge::yield_once, state::State},
};
use disperse_protocol::units::Time;

/// How long a turn may last before the next call that takes [`LONG`] ends it. A turn of plain computation takes a
/// twentieth of that.
const TURN_MAX: Duration = Duration::from_millis(1);

/// The shortest call after which a turn is ended. **Not for speed**: compiled code keeps its fuel in a register and
/// reloads it after each function call and each check of fuel, but not after `memory.grow`, where a change made here
/// would be lost. The limiter reports a growth by at least one page; a growth by zero takes a hundredth of this time. A
/// turn of only shorter calls ends by the fuel that they burn, after 0.1 s.
const LONG: Duration = Duration::from_micros(5);

/// The clock is read on one of this many returns until a turn is old: reading it is a noticeable part of the shortest
/// call.
const READ_EVERY: u8 = 4;

/// The most long calls that a guest may make after its turn should have ended, and the most time that they may take
/// together. Code without a loop or a call never checks its fuel, but no compiler emits that much of it.
const LATE_CALLS_MAX: u32 = 16;
const LATE_MAX: Duration = Duration::from_millis(200);

/// The error of a guest that does not check its fuel.
#[derive(Debug, thiserror::Error)]
#[error("called the host for {0} without a loop or a function of its own in between")]
struct NeverYields(Time);

/// The state of one store's hook.
pub(crate) struct Turn {
    debt: DeficitCounter,
    /// The turn in which the guest last called the host.
    called_in: Duration,
    /// When that was, if calls are timed in this turn.
    called_at: Duration,
    /// The returns since the clock was last read.
    unread: u8,
    /// Whether the turn has lasted so long that calls are timed.
    is_old: bool,
    /// Whether the guest's fuel for this turn was taken away.
    is_over: bool,
    /// The long calls since then, and their total time.
    late_calls: u32,
    late: Duration,
}

impl Turn {
    /// `debt`: where [`Pace`](super::pace::Pace) notes when turns begin.
    pub(crate) fn new(debt: DeficitCounter) -> Self {
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

    /// Handles one transition.
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
            // The call yielded. After a growth that waited for memory the fuel must not be changed; the next transition
            // restores the interval.
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

/// The hook of a guest with garbage-collected objects. Its code does not reload its fuel after an object was made, so
/// each change by [`Turn`] would give it more fuel. So this hook yields itself, within the call: slower, because each
/// event is a future, and invisible to the guest. A collection itself yields after every 16,384 objects. One object is
/// not divided: an array that fills a worker's 64 MiB takes 60 ms, and one that fills 1 GiB takes 0.7 s
/// (`tests/hostile/collected.rs`).
pub(crate) struct CollectedTurn {
    debt: DeficitCounter,
    /// The turn in which the guest last called the host, in nanoseconds.
    called_in: AtomicU64,
}

impl CollectedTurn {
    pub(crate) fn new(debt: DeficitCounter) -> Self {
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
                yield_once().await;
            }
            _ => {}
        }
        Ok(())
    }
}
