//! What reports say about a fixed window.
//!
//! A report is true for the moment at which the service counted the attempt that brings it. That moment is unknown
//! here, only that it lies between the attempt's dispatch and now. So two things are kept apart that are easily mixed
//! up:
//!
//! - **When the window ends.** "In 3 s" means 3 s after the count: not before the dispatch and 3 s (`earliest`), not after
//!   now and 3 s (`latest`), each with the margin. Until `latest` the report holds; from then on what was answered before
//!   `earliest` counts no more. What was answered between the two may have been counted in the next window already.
//! - **What was counted after it.** Every other attempt in flight at any time since that dispatch may be missing in what
//!   remained, also one that has ended since. They are subtracted (*loose*) until they are known to have been counted before.
//!
//! Such a report stands by itself: those counted in its window are in what remained or loose, those counted in the next
//! one are loose. So no window is overrun, whatever was believed before it.
//!
//! Within one window what remains only falls. So what two attempts report tells which of them was counted first, better
//! than their numbers and the order in which they arrive: the lower report is the later one. One that was counted
//! before the report that holds is not loose any more. When all in flight have reported, nothing is subtracted in vain.

use std::time::Duration;

use super::flight::Flight;
use crate::moment::Moment;

/// What a report says, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    remaining: u32,
    earliest: Moment,
    latest: Moment,
    resets: Moment,
    told: Moment,
}

impl Named {
    pub(super) fn new(remaining: u32, dispatched: Moment, now: Moment, reach: Duration, margin: Duration) -> Self {
        // A duration later than the start: a moment less a margin.
        let earliest = Moment::START + (dispatched + reach).since(Moment::START + margin);
        Self {
            remaining,
            earliest,
            latest: now + reach + margin,
            resets: now + reach,
            told: now,
        }
    }
}

/// How a report relates to the one that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Nothing new: it was counted before, or in a window that is over.
    Earlier,
    /// Counted later, in the same window.
    Later,
    /// Counted in a window after that.
    Next,
    /// It took so long that it is unknown.
    Unclear,
}

/// A window that was named.
#[derive(Debug)]
pub(super) struct Window {
    remaining: u32,
    /// Not before then is it over.
    pub(super) earliest: Moment,
    /// At the latest then it is over.
    pub(super) latest: Moment,
    /// When it is over, by what was said, without the margin.
    pub(super) resets: Moment,
    /// When the report came that holds.
    told: Moment,
    /// Units in flight that may be missing in what remained.
    loose: u64,
    /// Units that may be missing in it and have ended, as many as count now...
    loose_ended: u64,
    /// ...and ever.
    loose_ever: u64,
    /// Tells those that are known to be counted in this row of windows from those of an earlier one. Above zero.
    pub(super) generation: u32,
    /// It is past, and that has been seen to.
    pub(super) is_over: bool,
}

impl Window {
    /// `others`: units in flight, and units that have ended since that attempt was dispatched.
    pub(super) fn new(named: Named, generation: u32, others: (u64, u64), flight: &mut Flight) -> Self {
        flight.counted = generation;
        Self {
            remaining: named.remaining,
            earliest: named.earliest,
            latest: named.latest,
            resets: named.resets,
            told: named.told,
            loose: others.0,
            loose_ended: others.1,
            loose_ever: others.1,
            generation,
            is_over: false,
        }
    }

    /// One that was reported before the run was resumed, now. It ends between the first two moments, by what was said at the third
    /// one. So many units of the limit are left, which is no more than what would be reported: all others count as ended and
    /// maybe missing in it, so that the first report holds.
    pub(super) fn restored(
        (limit, left): (u64, u64),
        (earliest, latest, resets): (Moment, Moment, Moment),
        now: Moment,
    ) -> Self {
        let spent = limit.saturating_sub(left);
        Self {
            remaining: u32::MAX,
            earliest,
            latest,
            resets,
            told: now,
            loose: 0,
            loose_ended: spent,
            loose_ever: spent,
            generation: 1,
            is_over: false,
        }
    }

    /// Its report holds at that moment.
    pub(super) fn is_open(&self, at: Moment) -> bool {
        !self.is_over && at < self.latest
    }

    /// It is past, and that has not been seen to.
    pub(super) fn is_past(&self, at: Moment) -> bool {
        !self.is_over && at >= self.latest
    }

    pub(super) fn left(&self, limit: u64) -> u64 {
        limit
            .min(u64::from(self.remaining))
            .saturating_sub(self.loose + self.loose_ended)
    }

    pub(super) fn debit(&mut self, flight: &mut Flight) {
        flight.loose_before = (self.generation, self.loose_ever);
        self.loose += flight.units;
    }

    pub(super) fn ended(&mut self, flight: &Flight, sent: bool) {
        if flight.counted == self.generation {
            return;
        }
        self.loose = self.loose.saturating_sub(flight.units);
        if sent {
            self.loose_ended += flight.units;
            self.loose_ever += flight.units;
        }
    }

    /// It is known to have been counted before the report that holds.
    fn fasten(&mut self, flight: &mut Flight) {
        if flight.counted != self.generation {
            flight.counted = self.generation;
            self.loose = self.loose.saturating_sub(flight.units);
        }
    }

    /// Looks at a report, and learns from one that is not to be followed. `near`: see [`Sight`]; less than a window.
    pub(super) fn see(&mut self, named: &Named, near: Duration, flight: &mut Flight) -> Sight {
        let spread = self.latest.max(named.latest).since(self.earliest.min(named.earliest));
        let is_near = spread < near;
        if named.latest < self.earliest {
            if !is_near {
                self.fasten(flight);
            }
            return Sight::Earlier;
        }
        let is_beyond = named.earliest > self.latest;
        match (is_near, is_beyond) {
            (false, true) => Sight::Next,
            (false, false) => Sight::Unclear,
            // Dispatched after the other report had come, so certainly counted later: units were given back.
            (true, _) if named.remaining < self.remaining || flight.dispatched > self.told => Sight::Later,
            (true, _) => {
                self.fasten(flight);
                if !is_beyond {
                    self.narrow(named);
                }
                Sight::Earlier
            }
        }
    }

    /// This report holds from now on.
    pub(super) fn follow(&mut self, named: Named, sight: Sight, flight: &mut Flight) {
        self.fasten(flight);
        // An attempt that ended before it was dispatched is counted.
        let since = match flight.loose_before {
            (generation, before) if generation == self.generation => self.loose_ever - before,
            _ => self.loose_ever,
        };
        self.loose_ended = self.loose_ended.min(since);
        self.remaining = named.remaining;
        self.told = named.told;
        if sight == Sight::Later && named.earliest <= self.latest {
            self.narrow(&named);
        } else {
            self.earliest = named.earliest;
            self.latest = named.latest;
            self.resets = named.resets;
        }
    }

    /// The same window, seen twice.
    fn narrow(&mut self, named: &Named) {
        self.earliest = self.earliest.max(named.earliest);
        self.latest = self.latest.min(named.latest);
        self.resets = self.resets.min(named.resets);
    }
}
