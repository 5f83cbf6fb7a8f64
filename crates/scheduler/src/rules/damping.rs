//! Slows a suspect worker down for as long as there is no verdict.

use std::time::Duration;

use crate::{
    ids::{Kx, Wx},
    model::{
        failure_rate::row_below,
        health::{Rest, Standing, Trust},
    },
    rng::doubled,
    rules::{outage, standing},
    state::State,
};

/// A row of failures that is less likely than this is no chance. One worker in a thousand is slowed down by it for a
/// moment.
const BY_CHANCE: f64 = 1e-3;

/// How often a suspect's pause is doubled at most. Arbitrary: a worker that fails everything then costs an eighth of a
/// good one.
const DOUBLINGS: u32 = 3;

/// The shortest such pause. Arbitrary: less is no pause on a real clock.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// How much such a pause varies, as a part of it: workers that failed at the same moment are not to try again at the
/// same moment.
pub(crate) const PAUSE_JITTER: f64 = 0.5;

/// How many failures in a row with no verdict make a worker suspect that failed an action of this kind: as many as
/// chance alone explains less than once in a thousand times, by the rate of the other workers and that of bad actions.
pub(crate) fn suspect_after(state: &State, wx: Wx, kx: Option<Kx>) -> usize {
    let rate = kx.and_then(|kx| Some(state.kinds.get(kx)?.failure_rate.rate_of_all(wx)));
    let learned = rate.map_or(0, |rate| row_below(BY_CHANCE, rate));
    learned.max(state.policy.suspect_after) as usize
}

/// Slows a worker down that there is reason but no right to take out, after an action of this kind.
pub(crate) fn suspect(state: &mut State, wx: Wx, kx: Option<Kx>, further: u32, rest: Rest) {
    let rest = slowed(state, wx, kx, rest, further);
    let trust = Trust::Suspect { further };
    standing::set_standing(state, wx, Standing::Usable { trust, rest });
}

/// What a worker's rest becomes when it is to be slowed down.
pub(crate) fn slowed(state: &mut State, wx: Wx, kx: Option<Kx>, rest: Rest, further: u32) -> Rest {
    match rest {
        Rest::Busy { .. } => rest,
        Rest::None | Rest::Damped { .. } => damp(state, wx, kx, further),
    }
}

/// How long a suspect is left alone from now: as long as an action of this kind takes, since another worker may then
/// have done what it failed. So it never costs more than a good worker that has the same work.
pub(crate) fn damp(state: &mut State, wx: Wx, kx: Option<Kx>, further: u32) -> Rest {
    if state
        .workers
        .get(wx)
        .is_some_and(|worker| outage::is_hopeless(state, worker.px))
    {
        return Rest::None;
    }
    let wait = match outage::burst(state, wx) {
        // That most workers fail at once is no evidence against one of them, nor does it if they fail bad actions.
        Some(burst) if !burst.is_long() => return Rest::None,
        Some(burst) => {
            // Not all of them at the same moment, and never later than the longest pause.
            let longest = state.policy.damping_max.div_f64(1.0 + PAUSE_JITTER);
            state.rng.jittered(burst.pause().min(longest), PAUSE_JITTER)
        }
        None => {
            let usual = match kx.and_then(|kx| state.kinds.get(kx)).map(|kind| kind.took) {
                Some(took) if took.samples() > 0 => took.get(),
                _ => state.policy.damping_min,
            };
            doubled(usual.max(PAUSE_MIN), further.min(DOUBLINGS), state.policy.damping_max)
        }
    };
    Rest::Damped {
        until: state.later(wait),
    }
}
