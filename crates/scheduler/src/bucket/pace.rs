//! A steady rate with bursts.

use std::time::Duration;

use super::checkpoint::ReportedState;
use crate::moment::Moment;

/// Fractions of a microsecond that are kept, in bits: rates of many units per microsecond still are exact enough.
const FINE: u32 = 20;

/// By how much a unit takes longer here than the service says, in hundredths.
const STRETCH: u128 = 101;

/// The generic cell rate algorithm (ITU-T I.371): one number, the moment at which all that was spent will have been
/// earned again ("theoretical arrival time", TAT). The service has one too. It moves its own when it counts an attempt,
/// which is some time between dispatch and answer; unknown here.
///
/// So the TAT here moves at the *answer* (or at a report of it, which comes no sooner than the count), and what is in
/// flight is held back in full. Why the service then never refuses:
///
/// 1. A TAT that n attempts moved at moments `t` with `c` units each is the greatest, over all i, of
///    `t_i + T * (units of all that moved it at t_i or later)`.
/// 2. Say the service counts x at `s_x`. It refuses only if for some i more than `(s_x - s_i) / T + burst` units were
///    counted from `s_i` to `s_x`. Let y be the one of these attempts that was dispatched last, at `d_y <= s_y <= s_x`.
/// 3. Each of the others was at `d_y` either in flight, and held back in full; or answered, at `a >= s >= s_i`, and so by
///    (1) the TAT here was at least `s_i + T * (units of all these)`: answers are later than counts, and a TAT never
///    falls when a moment in it rises.
/// 4. y was dispatched because `TAT + T * (in flight + y) <= d_y + T * burst`. Together: `s_i + T * (units from s_i to
///    s_x) <= d_y + T * burst <= s_x + T * burst`, which is what (2) asks for. If none had been answered, they are no
///    more than `burst` units together, and those are never refused.
///
/// A longer T here than there changes nothing in this, so T is a hundredth longer: two clocks may differ by that much.
#[derive(Debug)]
pub(super) struct Pace {
    /// T: how long it takes to earn one unit.
    unit: u128,
    burst: u64,
    tat: u128,
}

impl Pace {
    pub(super) fn new(limit: u32, per: Duration, burst: u32) -> Self {
        let per = (per.as_micros().min(u128::from(u64::MAX))) << FINE;
        Self {
            unit: (per * STRETCH).div_ceil(100 * u128::from(limit.max(1))).max(1),
            burst: u64::from(burst),
            tat: 0,
        }
    }

    /// How long it takes until everything is earned again.
    fn debt(&self, at: Moment) -> u128 {
        self.tat.saturating_sub(fine(at))
    }

    /// Units that could be spent, if so many are in flight.
    pub(super) fn room(&self, at: Moment, flying: u64) -> u64 {
        let earned = (u128::from(self.burst) * self.unit).saturating_sub(self.debt(at)) / self.unit;
        (earned as u64).saturating_sub(flying)
    }

    /// From when on there is room for these; `None`: not while so many are in flight.
    pub(super) fn when(&self, from: Moment, flying: u64, units: u64) -> Option<Moment> {
        let spare = self.burst.checked_sub(flying.saturating_add(units))?;
        let micros = self
            .tat
            .saturating_sub(u128::from(spare) * self.unit)
            .div_ceil(1 << FINE);
        Some(from.max(Moment::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))))
    }

    /// These were answered.
    pub(super) fn ended(&mut self, now: Moment, units: u64) {
        self.tat = self.tat.max(fine(now)) + u128::from(units) * self.unit;
    }

    /// The service says that so many remain after an attempt of `units`, which is still in flight: held back now, and
    /// added when it ends. A report only ever slows down: what others spent is new here, what was spent from here
    /// is known better. Whether it does.
    pub(super) fn lower(&mut self, now: Moment, remaining: u32, units: u64) -> bool {
        let spent = self.burst.saturating_sub(u64::from(remaining)).saturating_sub(units);
        let reported = fine(now) + u128::from(spent) * self.unit;
        let is_lower = reported > self.tat;
        self.tat = self.tat.max(reported);
        is_lower
    }

    /// What was reported and spent, as far as it matters after a crash.
    pub(super) fn reported(&self) -> ReportedState {
        let until = u64::try_from(self.tat.div_ceil(1 << FINE)).unwrap_or(u64::MAX);
        ReportedState::Debt {
            until: Moment::from_micros(until),
        }
    }

    /// Goes on from what was answered, may have been spent and was reported before, now.
    pub(super) fn restore(
        &mut self,
        now: Moment,
        answered: &[(Moment, u64)],
        unanswered: u64,
        reported: ReportedState,
    ) {
        for (at, units) in answered {
            self.ended(*at, *units);
        }
        if let ReportedState::Debt { until } = reported {
            self.tat = self.tat.max(fine(until));
        }
        if unanswered > 0 {
            self.ended(now, unanswered);
        }
    }

    /// Units that can be spent from `from` until `at`.
    pub(super) fn offers(&self, from: Moment, at: Moment, flying: u64) -> u64 {
        let most = u128::from(self.burst) * self.unit + (fine(at) - fine(from).min(fine(at)));
        let units = most.saturating_sub(self.debt(from)) / self.unit;
        u64::try_from(units).unwrap_or(u64::MAX).saturating_sub(flying)
    }
}

fn fine(at: Moment) -> u128 {
    u128::from(at.as_micros()) << FINE
}
