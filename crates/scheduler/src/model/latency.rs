//! How long attempts of a kind take, and which of them are slow.

use std::{collections::VecDeque, time::Duration};

use crate::{
    ids::{AttemptId, Ax},
    model::action::{Action, Phase},
    moment::Moment,
    slab::Slab,
};

/// From how many of the last durations it is judged what is slow. Arbitrary: enough for a 95th percentile that three
/// slow ones do not decide, and few enough to follow a change of the work.
const LAST: usize = 64;

/// From how many durations on it is judged at all. Arbitrary: fewer make no 95th percentile.
const SAMPLES_MIN: usize = 10;

/// New durations between two looks at them.
const REFRESH: usize = 8;

/// Slow is over the 95th percentile and over this many times the median. Arbitrary.
const OVER_MEDIAN: f64 = 1.5;

/// How many second attempts have to be over before it is judged what they are good for, and which part of them has to
/// win. Arbitrary: one in ten, judged after twice as many, so that one win is no accident.
const TRIED: u64 = 20;

const WINS: u64 = 10;

/// A first attempt that may become slow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunningAttempt {
    pub(crate) at: Moment,
    pub(crate) ax: Ax,
    pub(crate) attempt: AttemptId,
}

impl RunningAttempt {
    /// Whether this attempt is still the only one of its action.
    pub(crate) fn is_lone(&self, actions: &Slab<Ax, Action>) -> bool {
        actions.get(self.ax).is_some_and(|action| {
            action.id == self.attempt.action
                && matches!(action.phase, Phase::Running { first, second: None } if first.number == self.attempt.number)
        })
    }

    /// Puts it at the end of a line. What is over leaves the line when it has become more than what is going on.
    pub(crate) fn push(self, line: &mut VecDeque<Self>, actions: &Slab<Ax, Action>, running: usize) {
        line.push_back(self);
        if line.len() > 2 * running + LAST {
            line.retain(|one| one.is_lone(actions));
        }
    }
}

/// What is known of how long attempts of a kind take, and which of them are going on. Only of actions of which a second
/// run does no harm.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    /// The last durations with a result, in microseconds, in no order.
    last: Vec<u32>,
    next: usize,
    unread: usize,
    /// From when on an attempt is slow.
    slow: Option<Duration>,
    /// Those that are going on and not slow yet, the oldest first; among them some that are over.
    begun: VecDeque<RunningAttempt>,
    /// When the first of them is slow; [`Moment::NEVER`]: it is not watched.
    wakes: Moment,
    /// How many attempts there were, and how many second ones.
    attempts: u64,
    hedges: u64,
    /// How many second attempts are over, and how many of them had the result.
    over: u64,
    won: u64,
}

/// What came of second attempts beside slow ones, for one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HedgeView {
    /// From when on an attempt is slow. None: not known yet.
    pub slow: Option<Duration>,
    /// How many second attempts were made.
    pub made: u64,
    /// How many of them had the result first.
    pub won: u64,
    /// Whether no more are made, because they seldom win.
    pub off: bool,
}

impl Latency {
    /// Records an attempt that may become slow. `running`: how many actions run.
    #[inline]
    pub(crate) fn note_attempt(&mut self, begun: RunningAttempt, actions: &Slab<Ax, Action>, running: usize) {
        self.attempts += 1;
        begun.push(&mut self.begun, actions, running);
    }

    /// Computes again when the oldest attempt that is not slow yet becomes slow: what was computed before, and what is
    /// now, if it has changed.
    #[inline]
    pub(crate) fn reschedule(&mut self) -> Option<(Moment, Moment)> {
        let wakes = match (self.slow, self.begun.front()) {
            (Some(slow), Some(first)) if !self.is_off() => first.at + slow,
            _ => Moment::NEVER,
        };
        let before = std::mem::replace(&mut self.wakes, wakes);
        (before != wakes).then_some((before, wakes))
    }

    /// The timer of the oldest attempt has gone off.
    pub(crate) fn wake(&mut self) {
        self.wakes = Moment::NEVER;
    }

    /// Takes the oldest attempt that is slow by now and the only one of its action.
    pub(crate) fn pop_slow(&mut self, now: Moment, actions: &Slab<Ax, Action>) -> Option<RunningAttempt> {
        loop {
            let first = *self.begun.front()?;
            let is_lone = first.is_lone(actions);
            if is_lone && first.at + self.slow? > now {
                return None;
            }
            self.begun.pop_front();
            if is_lone {
                return Some(first);
            }
        }
    }

    /// A second attempt is made.
    pub(crate) fn note_hedge(&mut self) {
        self.hedges += 1;
    }

    /// A second attempt is over. `won`: it had the result.
    pub(crate) fn end_hedge(&mut self, won: bool) {
        self.over += 1;
        self.won += u64::from(won);
    }

    pub(crate) fn view(&self) -> HedgeView {
        HedgeView {
            slow: self.slow,
            made: self.hedges,
            won: self.won,
            off: self.is_off(),
        }
    }

    /// Records the duration of an attempt with a result. An attempt shorter than `least` is never slow. Whether that
    /// changes what is slow.
    pub(crate) fn note_duration(&mut self, took: Duration, least: Duration) -> bool {
        let before = self.slow;
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        match self.last.get_mut(self.next) {
            Some(place) => *place = micros,
            None => self.last.push(micros),
        }
        self.next = (self.next + 1) % LAST;
        self.unread += 1;
        let first = self.slow.is_none() && self.last.len() >= SAMPLES_MIN;
        if first || (self.slow.is_some() && self.unread >= REFRESH) {
            self.unread = 0;
            self.slow = self.slow_from(least);
        }
        self.slow != before
    }

    /// From when on an attempt is slow, by the last durations.
    fn slow_from(&self, least: Duration) -> Option<Duration> {
        let mut sorted = self.last.clone();
        sorted.sort_unstable();
        let at = |part: f64| {
            let index = (sorted.len() as f64 * part).ceil() as usize;
            sorted.get(index.saturating_sub(1)).map(|micros| f64::from(*micros))
        };
        let micros = at(0.95)?.max(at(0.5)? * OVER_MEDIAN);
        Some(Duration::from_micros(micros as u64).max(least))
    }

    /// Whether second attempts win too seldom.
    fn is_off(&self) -> bool {
        self.over >= TRIED && self.won * WINS < self.over
    }

    /// Whether one more second attempt stays below this part of all attempts.
    pub(crate) fn may(&self, share: f64) -> bool {
        let all = self.attempts + self.hedges + 1;
        !self.is_off() && (self.hedges + 1) as f64 <= share * all as f64
    }
}
