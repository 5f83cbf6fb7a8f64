//! So many units in a span of time: sliding and fixed windows.
//!
//! **Without reports** both are the same: a unit counts from dispatch until one window and the margin after its *answer*.
//! The service counts it somewhere between. Take the attempts that it counts within one window, wherever that begins, and
//! of these the one dispatched last: at that moment each of the others was in flight or had been answered less than a
//! window ago, so all of them were counted here, and they were within the limit.
//!
//! **With reports** of a fixed window, [`Window`] knows more. **A report of a sliding window** only lowers: what was spent
//! from here is known exactly, and when units come back is not in a report, so the one thing it can add is what another
//! client spent. If there is such a thing, it holds until the reset that it names, or for one window if it names none.

use std::time::Duration;

use super::{
    checkpoint::ReportedState,
    flight::Flight,
    ledger::Ledger,
    tally::{Tally, micros},
    window::{Named, Sight, Window},
};
use crate::moment::Moment;

/// At most this many entries in a ledger, where the margin alone would make more: 64 KiB.
const GRAINS: u64 = 4096;

/// "No more than this", for a while.
#[derive(Clone, Copy, Debug)]
struct Cap {
    /// Below zero: in flight may be more than what remained.
    left: i64,
    until: Moment,
    /// The reset that was named.
    resets: Option<Moment>,
    /// Whose report it was.
    seq: u64,
}

#[derive(Debug)]
pub(super) struct Span {
    limit: u64,
    pub(super) per: Duration,
    margin: Duration,
    is_fixed: bool,
    ledger: Ledger,
    /// Units of attempts that are over, ever.
    ended: u64,
    window: Option<Window>,
    /// How many windows were reported.
    windows: u64,
    cap: Option<Cap>,
    /// The newest attempt whose report was applied.
    applied: Option<u64>,
    /// After how many resets in a row the service contradicted what it had reported, and the number of the last.
    contradicted: (u32, u64),
}

/// After how many such resets in a row what a service reports of resets is not believed any more. Two, because one may
/// be caused by another program that spends the same account.
const CONTRADICTIONS: u32 = 2;

/// How far two clocks and two ideas of "now" may be apart.
pub(super) fn margin(per: Duration) -> Duration {
    (per / 100).clamp(Duration::from_millis(50), Duration::from_secs(1))
}

impl Span {
    pub(super) fn new(limit: u32, per: Duration, is_fixed: bool) -> Self {
        let margin = margin(per);
        Self {
            limit: u64::from(limit),
            per,
            margin,
            is_fixed,
            ledger: Ledger::new((micros(margin) / 8).max(micros(per) / GRAINS)),
            ended: 0,
            window: None,
            windows: 0,
            cap: None,
            applied: None,
            contradicted: (0, 0),
        }
    }

    /// For how long a unit counts after its answer.
    fn whole(&self) -> Duration {
        self.per.saturating_add(self.margin)
    }

    /// What was answered until then does not count at `at`.
    fn cut(&self, at: Moment) -> Moment {
        match &self.window {
            // All that was answered before the earliest moment at which it can have ended.
            Some(window) if window.is_past(at) => {
                let first = window.earliest + self.whole();
                at.max(Moment::from_micros(first.as_micros().saturating_sub(1)))
            }
            _ => at,
        }
    }

    fn open(&self, at: Moment) -> Option<&Window> {
        self.window.as_ref().filter(|window| window.is_open(at))
    }

    fn capped(&self, at: Moment) -> Option<&Cap> {
        self.cap.as_ref().filter(|cap| at < cap.until)
    }

    /// Units that could be spent, if so many are in flight.
    pub(super) fn room(&self, at: Moment, flying: u64) -> u64 {
        let room = match self.open(at) {
            Some(window) => window.left(self.limit),
            None => self.limit.saturating_sub(flying + self.ledger.beyond(self.cut(at))),
        };
        self.capped(at).map_or(room, |cap| room.min(cap.left.max(0) as u64))
    }

    /// From when on, not before `from`, there is room for these; `None`: not while so many are in flight.
    pub(super) fn when(&self, from: Moment, flying: u64, units: u64) -> Option<Moment> {
        let mut at = from;
        if let Some(cap) = self.capped(at)
            && cap.left < units as i64
        {
            at = cap.until;
        }
        if let Some(window) = self.open(at) {
            if window.left(self.limit) >= units {
                return Some(at);
            }
            at = window.latest;
        }
        let spare = self.limit.checked_sub(flying.saturating_add(units))?;
        let falls = self.ledger.falls_to(spare);
        Some(if falls <= self.cut(at) { at } else { falls })
    }

    /// The service refused an attempt though there was room after so many resets. If that is so after each of them, its
    /// reports of resets are wrong: from then on this counts as a sliding window does, which holds for fixed ones too.
    pub(super) fn contradicted(&mut self, resets: u64) {
        let (row, last) = self.contradicted;
        if !self.is_fixed || resets == 0 || resets == last {
            return;
        }
        let row = if resets == last + 1 { row + 1 } else { 1 };
        self.contradicted = (row, resets);
        if row >= CONTRADICTIONS {
            self.is_fixed = false;
            self.window = None;
        }
    }

    /// Whether so many units are there only after a reset that is known, whatever is spent before.
    pub(super) fn waits_for_reset(&self, at: Moment, units: u64) -> bool {
        self.is_fixed && self.open(at).is_some_and(|window| window.left(self.limit) < units)
    }

    pub(super) fn debit(&mut self, flight: &mut Flight) {
        flight.ended_before = self.ended;
        if let Some(window) = &mut self.window {
            window.debit(flight);
        }
        if let Some(cap) = &mut self.cap {
            cap.left = cap.left.saturating_sub_unsigned(flight.units);
        }
    }

    pub(super) fn ended(&mut self, now: Moment, flight: &Flight, sent: bool) {
        if let Some(window) = &mut self.window {
            window.ended(flight, sent);
        }
        if sent {
            self.ended += flight.units;
            self.ledger.enter(now + self.whole(), flight.units);
        } else if let Some(cap) = &mut self.cap {
            cap.left = cap.left.saturating_add_unsigned(flight.units);
        }
    }

    /// Forgets what is over.
    pub(super) fn advance(&mut self, now: Moment, tally: &mut Tally) {
        self.ledger.sweep(self.cut(now));
        self.settle(now, tally);
        if let Some(window) = &mut self.window {
            window.is_over |= window.is_past(now);
        }
        if self.cap.is_some_and(|cap| now >= cap.until) {
            self.cap = None;
        }
    }

    /// Counts what is over. `advance` forgets it afterwards, so that it is counted once.
    pub(super) fn settle(&self, now: Moment, tally: &mut Tally) {
        if let Some(window) = self.window.as_ref().filter(|window| window.is_past(now)) {
            tally.reset(window.left(self.limit));
        }
        tally.advance(now, self.per);
    }

    /// Whether the report was applied. `flight` sent it, and is one of those in flight.
    pub(super) fn report(
        &mut self,
        now: Moment,
        seq: u64,
        flight: &mut Flight,
        flying: u64,
        (remaining, resets_in): (u32, Duration),
        tally: &mut Tally,
    ) -> bool {
        let reach = resets_in.min(self.whole());
        // The service may not have counted these when it reported: those in flight at any time since then.
        let others = (flying - flight.units, self.ended - flight.ended_before);
        if !self.is_fixed || resets_in.is_zero() {
            let applied = self.is_newer(seq);
            // What was spent from here, as much of it as the service may have counted, explains what it has counted, or
            // others spend too.
            let own = flying + self.ledger.beyond(self.cut(now));
            if applied && self.limit.saturating_sub(u64::from(remaining)) > own {
                let resets = (!resets_in.is_zero()).then_some(now + reach);
                let left = u64::from(remaining).min(self.limit) as i64;
                self.cap = Some(Cap {
                    left: left.saturating_sub_unsigned(others.0 + others.1),
                    until: self.cap_until(now, resets),
                    resets,
                    seq,
                });
            }
            if applied {
                self.applied = Some(seq);
            }
            return applied;
        }
        let named = Named::new(remaining, flight.dispatched, now, reach, self.margin);
        // Two resets whose earliest and latest moments all fit into less than a window are one.
        let near = self.per.saturating_sub(self.margin * 2);
        let sight = match &mut self.window {
            Some(window) => window.see(&named, near, flight),
            None => Sight::Unclear,
        };
        let is_newer = self.is_newer(seq);
        let is_over = self.window.as_ref().is_none_or(|window| window.is_over);
        match (&mut self.window, sight) {
            (Some(window), Sight::Later | Sight::Next) if !is_over => {
                if sight == Sight::Next {
                    tally.reset(window.left(self.limit));
                    self.windows += 1;
                }
                window.follow(named, sight, flight);
            }
            (_, Sight::Next | Sight::Unclear) if is_over && is_newer => {
                let generation = self.window.as_ref().map_or(0, |window| window.generation);
                self.window = Some(Window::new(named, generation + 1, others, flight));
                self.windows += 1;
            }
            _ => return false,
        }
        if let Some(window) = &self.window {
            tally.ends(window.resets);
        }
        self.applied = self.applied.max(Some(seq));
        self.cap = self.cap.filter(|cap| cap.seq > seq);
        true
    }

    fn is_newer(&self, seq: u64) -> bool {
        self.applied.is_none_or(|applied| seq > applied)
    }

    /// How long a report that only lowers holds.
    fn cap_until(&self, now: Moment, resets: Option<Moment>) -> Moment {
        match (resets, self.open(now)) {
            (Some(resets), _) => resets + self.margin,
            // The window that is known is certainly the one that it is about.
            (None, Some(window)) if now < window.earliest => window.latest,
            (None, _) => now + self.whole(),
        }
    }

    /// Which window it is that was reported last; 0: none was.
    pub(super) fn generation(&self) -> u64 {
        self.windows
    }

    /// What was reported, as far as it matters after a crash.
    pub(super) fn reported(&self) -> ReportedState {
        let cap = self.cap.as_ref().map(|cap| cap.left.max(0) as u64);
        match (&self.window, &self.cap) {
            (Some(window), _) => ReportedState::Window {
                left: window.left(self.limit).min(cap.unwrap_or(u64::MAX)),
                earliest: window.earliest,
                latest: window.latest,
                resets: window.resets,
            },
            (None, Some(cap)) => ReportedState::Cap {
                left: cap.left.max(0) as u64,
                until: cap.until,
                resets: cap.resets.unwrap_or(Moment::NEVER),
            },
            (None, None) => ReportedState::None,
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
        let whole = self.whole();
        for (at, units) in answered.iter().copied().chain([(now, unanswered)]) {
            self.ended += units;
            self.ledger.enter(at + whole, units);
        }
        match reported {
            ReportedState::Window {
                left,
                earliest,
                latest,
                resets,
            } if self.is_fixed => {
                let ends = (earliest, latest, resets);
                self.window = Some(Window::restored((self.limit, left), ends, now));
                self.windows += 1;
            }
            ReportedState::Cap { left, until, resets } => {
                self.cap = Some(Cap {
                    left: i64::try_from(left).unwrap_or(i64::MAX),
                    until,
                    resets: (resets != Moment::NEVER).then_some(resets),
                    seq: 0,
                });
            }
            _ => {}
        }
    }

    /// The reset after which what is left now is worth nothing.
    pub(super) fn resets(&self, now: Moment) -> Option<Moment> {
        let window = self.open(now).map(|window| window.resets);
        let cap = || self.capped(now).and_then(|cap| cap.resets);
        window.or_else(cap).filter(|resets| now < *resets)
    }

    /// Units that can be spent from `from` until `at`, if they are spent at once and answered at once.
    pub(super) fn offers(&self, from: Moment, at: Moment, flying: u64) -> u64 {
        let times = |from: Moment, cycle: Duration| {
            let more = at.as_micros().checked_sub(from.as_micros());
            more.map_or(0, |more| 1 + more / micros(cycle))
        };
        let room = self.room(from, flying);
        if let Some(window) = self.open(from) {
            return room.saturating_add(self.limit.saturating_mul(times(window.latest, self.per)));
        }
        if let Some(cap) = self.capped(from) {
            let held = flying + self.ledger.beyond(cap.until.max(self.cut(from)));
            let later = self.limit.saturating_sub(held + room);
            return room.saturating_add(later.saturating_mul(times(cap.until, self.whole())));
        }
        let cut = self.cut(from);
        let first = room.saturating_mul(times(from, self.whole()));
        let flown = flying.saturating_mul(times(from, self.whole()).saturating_sub(1));
        let back = self.ledger.iter().filter(|(until, _)| *until > cut);
        back.map(|(until, units)| units.saturating_mul(times(until, self.whole())))
            .fold(first.saturating_add(flown), u64::saturating_add)
    }

    #[cfg(test)]
    pub(crate) fn entries(&self) -> usize {
        self.ledger.len()
    }
}
