//! Second attempts beside slow ones.
//!
//! Most attempts of a kind take about as long as each other, and some take much longer for no reason of their own: a slow
//! machine, a lost packet. Where a second run does no harm and somebody has nothing to do, a slow attempt gets another beside
//! it, on another worker, and the first result counts. This is only ever spare time: nothing may wait, few attempts get a
//! second one, and a kind for which they seldom win gets none any more.

use std::{collections::VecDeque, time::Duration};

use crate::{
    action::{Action, Run, State},
    command::Command,
    ids::{AttemptId, Ax, KindId, Kx, Rx, Wx},
    moment::Moment,
    outcome::End,
    retry::Bar,
    scheduler::{Plant, Scheduler},
    slab::Slab,
    timers::Timer,
    worker::{Room, Standing, Trust},
};

/// From how many of the last durations it is judged what is slow. Arbitrary: enough for a 95th percentile that three slow
/// ones do not decide, and few enough to follow a change of the work.
const LAST: usize = 64;

/// From how many durations on it is judged at all. scheduler-policy.
const SAMPLES_MIN: usize = 10;

/// New durations between two looks at them.
const REFRESH: usize = 8;

/// Slow is over the 95th percentile and over this many times the median. scheduler-policy.
const OVER_MEDIAN: f64 = 1.5;

/// How many second attempts have to be over before it is judged what they are good for, and which part of them has to win.
/// scheduler-policy: "off by itself when it wins less than 1 in 10"; twice that many, so that one win is no luck.
const TRIED: u64 = 20;
const WINS: u64 = 10;

/// How many slow attempts a worker that has nothing to do looks at. Arbitrary: one that may have a second one is nearly
/// always among the first.
const LOOKS: usize = 16;

/// A first attempt that may become slow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    at: Moment,
    ax: Ax,
    attempt: AttemptId,
}

impl Begun {
    /// Whether this attempt is still the only one of its action.
    fn is_lone(&self, actions: &Slab<Ax, Action>) -> bool {
        actions.get(self.ax).is_some_and(|action| {
            action.id == self.attempt.action
                && matches!(action.state, State::Running { first, second: None } if first.number == self.attempt.number)
        })
    }

    /// Puts it at the end of a line. What is over leaves the line when it has become more than what is going on.
    fn push(self, line: &mut VecDeque<Self>, actions: &Slab<Ax, Action>, running: usize) {
        line.push_back(self);
        if line.len() > 2 * running + LAST {
            line.retain(|one| one.is_lone(actions));
        }
    }
}

/// What is known of how long attempts of a kind take, and which of them are going on. Only of actions of which a second run
/// does no harm.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    /// The last durations with a result, in microseconds, in no order.
    last: Vec<u32>,
    next: usize,
    unread: usize,
    /// From when on an attempt is slow.
    slow: Option<Duration>,
    /// Those that are going on and not slow yet, the oldest first; among them some that are over.
    begun: VecDeque<Begun>,
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

impl Lag {
    fn took(&mut self, took: Duration, least: Duration) {
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
            self.slow = self.judged(least);
        }
    }

    fn judged(&self, least: Duration) -> Option<Duration> {
        let mut sorted = self.last.clone();
        sorted.sort_unstable();
        let at = |part: f64| {
            let index = (sorted.len() as f64 * part).ceil() as usize;
            sorted.get(index.saturating_sub(1)).map(|micros| f64::from(*micros))
        };
        let micros = at(0.95)?.max(at(0.5)? * OVER_MEDIAN);
        Some(Duration::from_micros(micros as u64).max(least))
    }

    fn is_off(&self) -> bool {
        self.over >= TRIED && self.won * WINS < self.over
    }

    /// Whether one more second attempt stays below this part of all attempts.
    fn may(&self, share: f64) -> bool {
        let all = self.attempts + self.hedges + 1;
        !self.is_off() && (self.hedges + 1) as f64 <= share * all as f64
    }
}

impl Scheduler {
    /// An attempt was given to a worker: if it becomes slow it may get a second one beside it.
    pub(crate) fn watch(&mut self, ax: Ax, attempt: AttemptId) {
        if self.policy.hedge <= 0.0 {
            return;
        }
        let (now, running) = (self.now, self.tallies.running);
        let all = self.planted(Plant::HedgeAll);
        let action = self.actions.get(ax).filter(|action| action.idempotent || all);
        let Some(kx) = action.map(|action| action.kx) else {
            return;
        };
        let Some(lag) = self.kinds.get_mut(kx).map(|kind| &mut kind.lag) else {
            return;
        };
        lag.attempts += 1;
        let begun = Begun { at: now, ax, attempt };
        begun.push(&mut lag.begun, &self.actions, running);
        self.look_for_slow(kx);
    }

    /// An attempt had a result after so long.
    pub(crate) fn timed(&mut self, kx: Kx, took: Duration) {
        let (least, share) = (self.policy.hedge_min, self.policy.hedge);
        if share > 0.0
            && let Some(kind) = self.kinds.get_mut(kx)
        {
            let before = kind.lag.slow;
            kind.lag.took(took, least);
            if kind.lag.slow != before {
                self.look_for_slow(kx);
            }
        }
    }

    /// Sets the timer for the oldest attempt of a kind that is not slow yet.
    fn look_for_slow(&mut self, kx: Kx) {
        let Some(lag) = self.kinds.get_mut(kx).map(|kind| &mut kind.lag) else {
            return;
        };
        let wakes = match (lag.slow, lag.begun.front()) {
            (Some(slow), Some(first)) if !lag.is_off() => first.at + slow,
            _ => Moment::NEVER,
        };
        let before = std::mem::replace(&mut lag.wakes, wakes);
        if before != wakes {
            self.timers.clear(before, Timer::Slow(kx));
            self.timers.set(wakes, Timer::Slow(kx));
        }
    }

    /// The oldest attempts of a kind are slow by now.
    pub(crate) fn slowed_down(&mut self, kx: Kx, out: &mut Vec<Command>) {
        let now = self.now;
        if let Some(kind) = self.kinds.get_mut(kx) {
            kind.lag.wakes = Moment::NEVER;
        }
        while let Some(lag) = self.kinds.get_mut(kx).map(|kind| &mut kind.lag)
            && let (Some(slow), Some(first)) = (lag.slow, lag.begun.front().copied())
        {
            let is_lone = first.is_lone(&self.actions);
            if first.at + slow > now && is_lone {
                break;
            }
            lag.begun.pop_front();
            if is_lone && !self.hedge_anywhere(first, out) {
                self.remember_slow(first);
            }
        }
        self.look_for_slow(kx);
    }

    /// A slow attempt has to wait until somebody has nothing to do.
    fn remember_slow(&mut self, begun: Begun) {
        let Some(rx) = self.actions.get(begun.ax).map(|action| action.rx) else {
            return;
        };
        if let Some(route) = self.queues.routes.get_mut(rx) {
            begun.push(&mut route.slow, &self.actions, self.tallies.running);
        }
    }

    /// Gives a slow attempt a second one, if it may have one and somebody has nothing to do.
    fn hedge_anywhere(&mut self, begun: Begun, out: &mut Vec<Command>) -> bool {
        let Some((rx, kx, avoid)) = self.may_hedge(begun) else {
            return false;
        };
        let best = self.best(rx, kx, &avoid, |pool| &pool.free, |entry| self.may_help(entry.wx));
        if let Some(wx) = best {
            self.hedge(begun, wx, out);
        }
        best.is_some()
    }

    /// A worker has room, and nothing waits for it: it may help with a slow attempt.
    pub(crate) fn help(&mut self, wx: Wx, out: &mut Vec<Command>) {
        let Some(px) = self.workers.get(wx).map(|worker| worker.px) else {
            return;
        };
        let mut index = 0;
        while let Some(rx) = self.route(px, index) {
            index += 1;
            while let Some(begun) = self.slow_for(rx, wx) {
                if !self.may_help(wx) {
                    return;
                }
                self.hedge(begun, wx, out);
            }
        }
    }

    /// The longest known slow attempt of a route that this worker may help with.
    fn slow_for(&mut self, rx: Rx, wx: Wx) -> Option<Begun> {
        let mut index = 0;
        while index < LOOKS {
            let begun = self.queues.routes.get(rx)?.slow.get(index).copied()?;
            if !begun.is_lone(&self.actions) {
                self.queues.routes.get_mut(rx)?.slow.remove(index);
                continue;
            }
            if let Some((_, kx, avoid)) = self.may_hedge(begun)
                && avoid.binary_search(&wx).is_err()
                && self.could_pay(wx, kx)
            {
                self.queues.routes.get_mut(rx)?.slow.remove(index);
                return Some(begun);
            }
            index += 1;
        }
        None
    }

    /// Where a second attempt may go and where not. None: there may be none.
    fn may_hedge(&self, begun: Begun) -> Option<(Rx, Kx, Vec<Wx>)> {
        let action = self.actions.get(begun.ax)?;
        let State::Running { first, second: None } = action.state else {
            return None;
        };
        let may = self.kinds.get(action.kx)?.lag.may(self.policy.hedge);
        let nothing_waits = self.nothing_waits(action.rx);
        let is_believed = self.workers.get(first.wx).is_some_and(|worker| worker.ox.is_none());
        if !may || !nothing_waits || self.draining || action.is_solo() || !is_believed {
            return None;
        }
        let mut avoid = self.avoided(begun.ax, Bar::Tried);
        if let Err(index) = avoid.binary_search(&first.wx) {
            avoid.insert(index, first.wx);
        }
        Some((action.rx, action.kx, avoid))
    }

    /// Whether nothing waits in this route, nor in another one of the same pools.
    fn nothing_waits(&self, rx: Rx) -> bool {
        let pools = self.queues.routes.get(rx).map(|route| &route.pools);
        let first = pools.and_then(|pools| self.pools.get(*pools.first()?));
        let mut routes = first.map_or(&[][..], |pool| &pool.routes).iter();
        let is_same = |other: &Rx| self.queues.routes.get(*other).map(|route| &route.pools) == pools;
        self.queues.is_empty(rx) && routes.all(|other| !is_same(other) || self.queues.is_empty(*other))
    }

    /// Whether a worker would begin at once and is in good standing: others have enough to prove.
    fn may_help(&self, wx: Wx) -> bool {
        self.workers.get(wx).is_some_and(|worker| {
            let healthy = matches!(
                worker.standing,
                Standing::Usable {
                    trust: Trust::Healthy,
                    ..
                }
            );
            worker.listed.0 == Room::Slot && worker.ox.is_none() && healthy && !self.is_systemic(worker.px)
        })
    }

    fn hedge(&mut self, begun: Begun, wx: Wx, out: &mut Vec<Command>) {
        let Some(kx) = self.actions.get(begun.ax).map(|action| action.kx) else {
            return;
        };
        if let Some(kind) = self.kinds.get_mut(kx) {
            kind.lag.hedges += 1;
        }
        out.push(Command::Hedge { attempt: begun.attempt });
        self.assign(begun.ax, wx, out);
    }

    /// An attempt of an action is over: it has one run less. True: another one goes on.
    pub(crate) fn run_over(&mut self, ax: Ax, number: u32, end: End) -> bool {
        let Some(action) = self.actions.get_mut(ax) else {
            return false;
        };
        let State::Running {
            first,
            second: Some(second),
        } = action.state
        else {
            self.leave(ax);
            return false;
        };
        let kx = action.kx;
        let rest = if second.number == number { first } else { second };
        action.state = State::Running {
            first: rest,
            second: None,
        };
        self.tallies.second -= 1;
        if second.number == number || end == End::Ok {
            self.hedge_over(kx, second.number == number && end == End::Ok);
        }
        true
    }

    /// A second attempt is over. `won`: it had the result.
    pub(crate) fn hedge_over(&mut self, kx: Kx, won: bool) {
        if let Some(kind) = self.kinds.get_mut(kx) {
            kind.lag.over += 1;
            kind.lag.won += u64::from(won);
        }
    }

    /// What came of second attempts for a kind. None: it was never defined.
    pub fn hedges(&self, kind: KindId) -> Option<HedgeView> {
        let lag = &self.kinds.get(*self.kind_ids.get(&kind)?)?.lag;
        Some(HedgeView {
            slow: lag.slow,
            made: lag.hedges,
            won: lag.won,
            off: lag.is_off(),
        })
    }

    /// The attempts of an action that are going on.
    pub(crate) fn runs(&self, ax: Ax) -> impl Iterator<Item = Run> + use<> {
        let state = self.actions.get(ax).map(|action| action.state);
        let runs = match state {
            Some(State::Running { first, second }) => [Some(first), second],
            _ => [None, None],
        };
        runs.into_iter().flatten()
    }
}
