//! Quotas: how much a worker may ask of its service, and how much of that is left.
//!
//! A bucket counts for one account. It is told what is dispatched, what was answered and what the service reported, each with
//! the time, and computes how much could be spent now and when there is more. Which workers wait for it is kept in
//! `model/quota_state.rs`. Several workers may share one.
//!
//! **The one rule: the service never refuses anything because of a quota.** When it counts an attempt, between dispatch
//! and answer, is unknown here, so every bucket is right for whichever moment that was: `span` for windows (`window` for
//! what reports say about them), `pace` for rates. What is certain costs nothing, what is unknown is held back.

mod checkpoint;
mod flight;
mod ledger;
mod pace;
mod reservation;
mod span;
mod tally;
mod window;

pub use self::{
    checkpoint::{BucketCheckpoint, BucketHistory, ReportedState},
    reservation::{Block, Reservation},
};
use self::{flight::Flight, pace::Pace, span::Span, tally::Tally};
use crate::{
    ids::IdMap,
    moment::Moment,
    quota::{Quota, Report},
};

/// What became of a quota so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketView {
    /// What is allowed.
    pub quota: Quota,
    /// Units that could be spent now.
    pub available: u32,
    /// Units of attempts that are not over and that the service may not have counted yet.
    pub in_flight: u64,
    /// Units spent, ever; those in flight are, those of attempts that were never sent are not.
    pub used: u64,
    /// Units that could have been spent since the first attempt: `used` of `capacity` is the utilisation. All of a
    /// window counts from its beginning. Zero for a concurrent quota, which offers no number of units.
    pub capacity: u64,
    /// Units that were not spent when the last known window was over.
    pub wasted_last: u64,
    /// The same for all known windows together.
    pub wasted: u64,
    /// How many known windows are over.
    pub resets: u64,
    /// When the one that is known is over; [`Moment::NEVER`] if none is known.
    pub resets_at: Moment,
    /// Nothing is spent until then, because the service told so; in the past if it may be.
    pub closed_until: Moment,
    /// When there is a unit again if none is left now; [`Moment::NEVER`] if some are, or if that depends on what is in
    /// flight.
    pub refills_at: Moment,
}

/// How a quota is kept.
#[derive(Debug)]
enum Rule {
    Span(Box<Span>),
    Pace(Pace),
    /// What is in flight is all there is to it.
    Flying,
}

/// A quota and what was spent of it. Time is an argument and never goes back.
#[derive(Debug)]
pub(crate) struct Bucket {
    quota: Quota,
    rule: Rule,
    /// By dispatch number.
    flights: IdMap<u64, Flight>,
    /// Units of all of them.
    flying: u64,
    closed: Moment,
    tally: Tally,
    /// When the first attempt was dispatched.
    began: Option<Moment>,
    /// How many times something became known that does not follow from what was spent here.
    news: u64,
}

impl Bucket {
    /// A full one.
    pub(crate) fn new(quota: Quota) -> Self {
        Self {
            quota,
            rule: match quota {
                Quota::Sliding { limit, per } => Rule::Span(Box::new(Span::new(limit, per, false))),
                Quota::Fixed { limit, per } => Rule::Span(Box::new(Span::new(limit, per, true))),
                Quota::Rate { limit, per, burst } => Rule::Pace(Pace::new(limit, per, burst)),
                Quota::Concurrent { .. } => Rule::Flying,
            },
            flights: IdMap::default(),
            flying: 0,
            closed: Moment::START,
            tally: Tally::new(),
            began: None,
            news: 0,
        }
    }

    /// What an attempt of this cost takes: no more than can be had at once.
    pub(crate) fn most(&self, units: u32) -> u32 {
        units.min(self.quota.most())
    }

    /// Whether it counts units over time and not only at once.
    pub(crate) fn is_windowed(&self) -> bool {
        !matches!(self.rule, Rule::Flying)
    }

    /// Units that could be spent now.
    pub(crate) fn available(&self, now: Moment) -> u32 {
        if now < self.closed { 0 } else { self.room(now) }
    }

    fn room(&self, now: Moment) -> u32 {
        let most = self.quota.most();
        let room = match &self.rule {
            Rule::Span(span) => span.room(now, self.flying),
            Rule::Pace(pace) => pace.room(now, self.flying),
            Rule::Flying => u64::from(most).saturating_sub(self.flying),
        };
        room.min(u64::from(most)) as u32
    }

    /// The earliest moment from `now` on at which so many units could be spent, if nothing else happens. `None`: only
    /// after something in flight has ended. More than can ever be spent at once is treated as just that.
    pub(crate) fn when(&self, now: Moment, units: u32) -> Option<Moment> {
        let from = now.max(self.closed);
        let units = u64::from(units.min(self.quota.most()));
        match &self.rule {
            Rule::Span(span) => span.when(from, self.flying, units),
            Rule::Pace(pace) => pace.when(from, self.flying, units),
            Rule::Flying => (self.flying + units <= u64::from(self.quota.most())).then_some(from),
        }
    }

    /// Takes units for an attempt. `seq` is its number among all dispatches, rising. The caller has seen that so many
    /// are available.
    pub(crate) fn debit(&mut self, now: Moment, seq: u64, units: u32) {
        self.advance(now);
        self.began.get_or_insert(now);
        let mut flight = Flight {
            units: u64::from(units.min(self.quota.most())),
            dispatched: now,
            ..Flight::default()
        };
        self.flying += flight.units;
        if let Rule::Span(span) = &mut self.rule {
            self.tally.spend(now, span.per, flight.units);
            span.debit(&mut flight);
        } else {
            self.tally.used += flight.units;
        }
        let before = self.flights.insert(seq, flight);
        debug_assert!(before.is_none(), "dispatch {seq} takes units twice");
    }

    /// An attempt is over. `sent` is false only if nothing of it can have reached the service: its units come back at
    /// once. All others count on from now.
    pub(crate) fn ended(&mut self, now: Moment, seq: u64, sent: bool) {
        self.advance(now);
        let Some(flight) = self.flights.remove(&seq) else {
            return;
        };
        if flight.is_paced {
            return;
        }
        self.flying -= flight.units;
        if !sent {
            self.tally.used -= flight.units;
        }
        match &mut self.rule {
            Rule::Span(span) => span.ended(now, &flight, sent),
            Rule::Pace(pace) if sent => pace.ended(now, flight.units),
            Rule::Pace(_) | Rule::Flying => {}
        }
    }

    /// What the service reported in the answer to an attempt that has not ended here. Whether it was applied.
    pub(crate) fn report(&mut self, now: Moment, seq: u64, report: Report) -> bool {
        self.advance(now);
        let Some(flight) = self.flights.get_mut(&seq) else {
            return false;
        };
        match &mut self.rule {
            Rule::Span(span) => {
                let said = (report.remaining, report.resets_in);
                let (before, window) = (span.room(now, self.flying), span.generation());
                let applied = span.report(now, seq, flight, self.flying, said, &mut self.tally);
                let is_new = span.generation() != window || span.room(now, self.flying) < before;
                self.news += u64::from(is_new);
                applied
            }
            Rule::Pace(pace) => {
                if flight.is_paced {
                    return false;
                }
                self.news += u64::from(pace.lower(now, report.remaining, flight.units));
                // What it is about is counted: the next unit is earned from now on, however long the attempt goes on.
                // Of an attempt that takes several, some may be counted later.
                if flight.units == 1 {
                    flight.is_paced = true;
                    self.flying -= flight.units;
                    pace.ended(now, flight.units);
                }
                true
            }
            Rule::Flying => false,
        }
    }

    /// The service said "not before": nothing is spent until then.
    pub(crate) fn close(&mut self, until: Moment) {
        self.news += u64::from(until > self.closed);
        self.closed = self.closed.max(until);
    }

    /// The service refused an attempt though there was room.
    pub(crate) fn contradicted(&mut self, now: Moment) {
        self.advance(now);
        if let Rule::Span(span) = &mut self.rule {
            span.contradicted(self.tally.resets);
        }
    }

    /// Whether so many units are there only after a reset that is known, whatever is spent before.
    pub(crate) fn waits_for_reset(&self, now: Moment, units: u32) -> bool {
        match &self.rule {
            Rule::Span(span) => span.waits_for_reset(now.max(self.closed), u64::from(units)),
            Rule::Pace(_) | Rule::Flying => false,
        }
    }

    /// That it is closed until then was a mistake. Whether it was closed until just then.
    pub(crate) fn reopen(&mut self, now: Moment, until: Moment) -> bool {
        let is_closed = self.closed == until && now < until;
        if is_closed {
            self.news += 1;
            self.closed = now;
        }
        is_closed
    }

    /// When what is left now goes to waste if it is not spent; [`Moment::NEVER`] if nothing is left, or no reset is
    /// known.
    pub(crate) fn expires(&self, now: Moment) -> Moment {
        let resets = self.resets(now).filter(|resets| self.closed < *resets);
        resets.filter(|_| self.room(now) > 0).unwrap_or(Moment::NEVER)
    }

    fn resets(&self, now: Moment) -> Option<Moment> {
        match &self.rule {
            Rule::Span(span) => span.resets(now),
            Rule::Pace(_) | Rule::Flying => None,
        }
    }

    /// What became of it so far.
    pub(crate) fn view(&self, now: Moment) -> BucketView {
        let mut tally = self.tally;
        let capacity = match (self.quota, &self.rule) {
            (Quota::Sliding { limit, .. } | Quota::Fixed { limit, .. }, Rule::Span(span)) => {
                span.settle(now, &mut tally);
                u64::from(limit).saturating_mul(tally.begun)
            }
            (Quota::Rate { limit, per, burst }, _) => self.began.map_or(0, |began| {
                let earned = now.since(began).as_micros() * u128::from(limit) / per.as_micros().max(1);
                u64::from(burst).saturating_add(u64::try_from(earned).unwrap_or(u64::MAX))
            }),
            _ => 0,
        };
        let available = self.available(now);
        let refills = self.when(now, 1).filter(|_| available == 0);
        BucketView {
            quota: self.quota,
            available,
            in_flight: self.flying,
            used: tally.used,
            capacity,
            wasted_last: tally.wasted_last,
            wasted: tally.wasted,
            resets: tally.resets,
            resets_at: self.resets(now).unwrap_or(Moment::NEVER),
            closed_until: self.closed,
            refills_at: refills.unwrap_or(Moment::NEVER),
        }
    }

    /// How many units it can offer until `at` if everything is spent as soon as possible and answered at once. Without
    /// end for a concurrent quota. It looks at everything that counts, so it is for a display, not for each dispatch.
    pub(crate) fn offers_until(&self, now: Moment, at: Moment) -> u64 {
        let from = now.max(self.closed);
        if at < from {
            return 0;
        }
        match &self.rule {
            Rule::Span(span) => span.offers(from, at, self.flying),
            Rule::Pace(pace) => pace.offers(from, at, self.flying),
            Rule::Flying => u64::MAX,
        }
    }

    /// What has to survive a crash.
    pub(crate) fn checkpoint(&self) -> BucketCheckpoint {
        BucketCheckpoint {
            used: self.tally.used,
            answered: self.tally.used - self.flying,
            reported: match &self.rule {
                Rule::Span(span) => span.reported(),
                Rule::Pace(pace) => pace.reported(),
                Rule::Flying => ReportedState::None,
            },
            closed_until: self.closed,
            news: self.news,
        }
    }

    /// Goes on from what became of it before, now. Nothing was spent since.
    pub(crate) fn restore(&mut self, now: Moment, history: &BucketHistory) {
        let BucketHistory {
            answered,
            unanswered,
            reported,
            closed_until,
        } = history;
        match &mut self.rule {
            Rule::Span(span) => span.restore(now, answered, *unanswered, *reported),
            Rule::Pace(pace) => pace.restore(now, answered, *unanswered, *reported),
            Rule::Flying => {}
        }
        self.closed = self.closed.max(*closed_until);
        self.advance(now);
    }

    /// Forgets what is over: each thing once, so it costs nothing on average.
    fn advance(&mut self, now: Moment) {
        if let Rule::Span(span) = &mut self.rule {
            span.advance(now, &mut self.tally);
        }
    }

    /// How many entries its memory of answers has.
    #[cfg(test)]
    pub(crate) fn entries(&self) -> usize {
        match &self.rule {
            Rule::Span(span) => span.entries(),
            Rule::Pace(_) | Rule::Flying => 0,
        }
    }
}
