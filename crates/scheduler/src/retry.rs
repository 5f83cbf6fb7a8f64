//! Where an action goes next: which workers it avoids, for how long, and when it rests.
//!
//! Avoiding is a wish, never a sentence. An action avoids every worker that failed it while there is one that did not;
//! it avoids less the longer it waits; and when all were tried it rests and starts over. So a pool of one still retries,
//! and nothing waits for somebody who does not come.

use crate::{
    action::State,
    blame::Accused,
    busy::Busies,
    command::Command,
    flake::TRAPS_MIN,
    ids::{AttemptId, Ax, Kx, Px, Rx, Wx},
    luck::doubled,
    moment::Moment,
    outcome::{Health, Reason},
    policy::Blame,
    quorum::Vote,
    scheduler::{Plant, Scheduler},
    timers::Timer,
};

/// How many times as late the last attempt of an action is while its service may be down. Arbitrary: three seconds by default are
/// what a restart behind a proxy takes, and no more than one waits for the failure of a line that is wrong.
const DOWN: u32 = 3;

/// Where an action failed or got lost.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    /// The least recent first, each once.
    failed_on: Vec<Wx>,
    /// How many of the last of them count for this round.
    tried: usize,
    /// How many times every worker had been tried.
    rounds: u32,
    /// Those who failed it, until it is known whose fault it was. Each once.
    pub(crate) accused: Vec<Accused>,
    /// When it first failed, if it did.
    pub(crate) first_failed: Option<Moment>,
    /// Workers that failed lately and did not get its last attempt: see [`Scheduler::is_choosy`].
    pub(crate) shunned: Vec<Wx>,
    /// Whether an attempt was given back once because a worker was taken out.
    pub(crate) revived: bool,
    /// One of its failures says more than that something is away: see [`Scheduler::may_be_down`].
    pub(crate) has_trapped: bool,
    /// The number of the last row of failures of its pool in which it failed.
    pub(crate) last_streak: Option<u32>,
    /// It failed in one before that: see [`Scheduler::is_notorious`].
    pub(crate) is_notorious: bool,
    /// Whether it has no attempt left and only waits for that.
    pub(crate) held: bool,
    /// Whether it got lost and is tried alone.
    pub(crate) solo: bool,
    /// What was said of it by workers that nobody vouches for: one vote for each owner.
    pub(crate) votes: Vec<Vote>,
    /// Where it got lost though it was alone.
    pub(crate) lost_alone: Option<Wx>,
    /// Which workers were busy with it.
    pub(crate) busies: Busies,
}

/// Whom a waiting action avoids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bar {
    /// Everybody who failed it: somebody untried is usable.
    Tried,
    /// Everybody who failed it except this one, whose turn it is.
    AllBut(Wx),
    /// Only the last who failed it: it has waited long enough.
    Last,
    /// Nobody.
    Open,
}

/// What to do with an action that is to run.
enum Plan {
    /// Nobody can ever take it.
    Unroutable,
    /// Wait until then, and look again.
    Rest { until: Moment },
    /// Take the first worker that is not barred.
    Queue(Bar),
}

impl Scheduler {
    /// Remembers that an action failed on a worker.
    pub(crate) fn remember(&mut self, ax: Ax, wx: Wx) {
        if self.planted(Plant::SameWorker) {
            return;
        }
        let Some(action) = self.actions.get_mut(ax) else { return };
        let trials = action.trials.get_or_insert_default();
        match trials.failed_on.iter().position(|failed| *failed == wx) {
            Some(index) => {
                // One of this round that failed again, against the rule of the round, is still one.
                if index < trials.failed_on.len() - trials.tried {
                    trials.tried += 1;
                }
                trials.failed_on.remove(index);
            }
            None => trials.tried += 1,
        }
        trials.failed_on.push(wx);
    }

    /// Finds the next state of an action that is in none. `failed`: its attempt that just failed and who made it, for
    /// the report.
    pub(crate) fn place(&mut self, ax: Ax, failed: Option<(AttemptId, Wx)>, out: &mut Vec<Command>) {
        let mut plan = self.plan(ax);
        if failed.is_some() {
            if let Some(trials) = self.actions.get_mut(ax).and_then(|action| action.trials.as_deref_mut()) {
                trials.busies.deferred = false;
            }
            plan = self.spread(ax, plan);
        }
        if let Some((attempt, wx)) = failed
            && let Some(worker) = self.workers.get(wx)
        {
            let at = match plan {
                Plan::Unroutable => None,
                Plan::Rest { until } => Some(until),
                Plan::Queue(_) => Some(self.now),
            };
            out.extend(at.map(|at| Command::Retry {
                attempt,
                worker: worker.id,
                at,
            }));
        }
        self.carry_out(ax, plan, self.later(self.policy.patience), out);
    }

    /// Has an action that failed rest from its second failure on, even if there is a worker that it was not tried on: whatever is
    /// wrong for a moment is wrong on all of them. Its last attempt is no sooner than the shortest backoff after its first failure.
    fn spread(&mut self, ax: Ax, plan: Plan) -> Plan {
        let Some(action) = self.actions.get(ax) else {
            return plan;
        };
        let Some(first) = action.trials.as_deref().and_then(|trials| trials.first_failed) else {
            return plan;
        };
        let (failed, most, least) = (action.failed, self.attempts_max(action), self.policy.backoff_min);
        if failed < 2 || least.is_zero() {
            return plan;
        }
        let earliest = match failed + 1 >= most {
            true if self.may_be_down(ax, first) => first + least.saturating_mul(DOWN),
            true => first + least,
            false => self.now,
        };
        let until = match plan {
            Plan::Unroutable => return plan,
            Plan::Rest { until } => until,
            Plan::Queue(_) => {
                // Together these rests take as long as the shortest backoff on average.
                let rests = most.saturating_sub(2).max(1);
                let wait = self.luck.up_to(least.saturating_mul(2) / rests);
                self.later(wait)
            }
        };
        match until.max(earliest) {
            until if until > self.now => Plan::Rest { until },
            _ => plan,
        }
    }

    /// Whether a service that is down explains all failures of an action: none of them is a trap, and no attempt that began since the
    /// first has succeeded in a pool that serves it.
    fn may_be_down(&self, ax: Ax, first: Moment) -> bool {
        let Some(action) = self.actions.get(ax) else {
            return false;
        };
        let works = self.over_pools(action.rx, |pool| usize::from(pool.spells.worked_at > first));
        action.trials.as_deref().is_some_and(|trials| !trials.has_trapped) && works == 0
    }

    /// As [`Scheduler::place`], of an action that stands behind fresh work, or avoids workers, until then.
    pub(crate) fn place_until(&mut self, ax: Ax, patience: Moment, out: &mut Vec<Command>) {
        let plan = self.plan(ax);
        self.carry_out(ax, plan, patience, out);
    }

    /// Places an action that waits for nobody who is usable. Its patience goes on: workers that come and go must not
    /// make it wait for ever.
    pub(crate) fn place_again(&mut self, ax: Ax, out: &mut Vec<Command>) {
        let Some(State::Waiting { bar, patience, .. }) = self.actions.get(ax).map(|action| action.state) else {
            return;
        };
        self.leave(ax);
        let plan = match bar {
            Bar::Last | Bar::Open => Plan::Queue(Bar::Open),
            Bar::Tried | Bar::AllBut(_) => self.plan(ax),
        };
        self.carry_out(ax, plan, patience, out);
    }

    /// `patience`: until when it avoids somebody, should it have to wait.
    fn carry_out(&mut self, ax: Ax, plan: Plan, patience: Moment, out: &mut Vec<Command>) {
        match plan {
            Plan::Unroutable => self.give_up(ax, Reason::Unroutable, out),
            Plan::Rest { until } => self.rest(ax, until),
            Plan::Queue(bar) => self.queue(ax, bar, patience, out),
        }
    }

    fn plan(&mut self, ax: Ax) -> Plan {
        let Some(rx) = self.actions.get(ax).map(|action| action.rx) else {
            return Plan::Queue(Bar::Open);
        };
        if self.is_unroutable(rx) || self.is_out_of_voters(ax, rx) {
            return Plan::Unroutable;
        }
        if self.actions.get(ax).is_none_or(|action| action.trials.is_none()) {
            return Plan::Queue(Bar::Open);
        }
        self.shuns_none(ax);
        let usable = self.allowed(ax, rx);
        let barred: Vec<Wx> = self.barred(ax).collect();
        let workers = &self.workers;
        let is_usable =
            |wx: &Wx| !barred.contains(wx) && workers.get(*wx).is_some_and(|worker| worker.standing.is_usable());
        let Some(trials) = self.actions.get_mut(ax).and_then(|action| action.trials.as_mut()) else {
            return Plan::Queue(Bar::Open);
        };
        trials.forget(|wx| {
            workers
                .get(wx)
                .is_none_or(|worker| worker.standing.health() == Health::Gone)
        });
        if trials.failed_on.is_empty() {
            return Plan::Queue(Bar::Open);
        }
        // Nobody usable: whoever comes out of quarantine first has everybody looked at again.
        if usable == 0 || trials.failed_on.iter().filter(|wx| is_usable(wx)).count() < usable {
            return Plan::Queue(Bar::Tried);
        }
        let earlier = trials.failed_on.len() - trials.tried;
        if let Some(turn) = trials.failed_on.iter().take(earlier).find(|wx| is_usable(wx)) {
            return Plan::Queue(Bar::AllBut(*turn));
        }
        let longest = doubled(self.policy.backoff_min, trials.rounds, self.policy.backoff_max);
        trials.rounds = trials.rounds.saturating_add(1);
        trials.tried = 0;
        let wait = self.luck.up_to(longest);
        Plan::Rest {
            until: self.later(wait),
        }
    }

    /// Keeps an action that has no attempt left until it is known what becomes of those who failed it.
    pub(crate) fn hold(&mut self, ax: Ax) {
        if let Some(trials) = self.actions.get_mut(ax).and_then(|action| action.trials.as_deref_mut()) {
            trials.held = true;
        }
        self.rest(ax, self.later(self.policy.patience));
    }

    pub(crate) fn rest(&mut self, ax: Ax, until: Moment) {
        let Some(action) = self.actions.get_mut(ax) else { return };
        action.state = State::Resting { until };
        let rx = action.rx;
        if let Some(route) = self.queues.routes.get_mut(rx) {
            route.resting.insert(ax);
        }
        self.note_voting(ax, rx);
        self.timers.set(until, Timer::Rested(ax));
        self.tallies.backing_off += 1;
    }

    /// Gives an action to the best worker that it does not avoid; if there is none, it stands in line.
    fn queue(&mut self, ax: Ax, bar: Bar, patience: Moment, out: &mut Vec<Command>) {
        let Some(action) = self.actions.get(ax) else { return };
        let (rx, kx, key) = (action.rx, action.kx, action.key(ax));
        let mut avoid = self.avoided(ax, bar);
        let solo = action.is_solo();
        if solo {
            if self.queue_solo(ax, bar, out) {
                return;
            }
            self.save_for(rx, kx, &avoid);
        } else {
            let choosy = matches!(bar, Bar::Tried | Bar::AllBut(_)) && self.is_choosy(ax);
            if let Some(wx) = self.find(rx, kx, &avoid, choosy) {
                return self.assign(ax, wx, out);
            }
            if choosy {
                self.shun_free(ax, rx);
                avoid = self.avoided(ax, bar);
            }
            self.save_for(rx, kx, &avoid);
        }
        let may_wait = (avoid.is_empty() || bar == Bar::Open) && !self.is_deferred(ax);
        let patience = if may_wait || self.planted(Plant::EndlessPatience) {
            Moment::NEVER
        } else {
            patience
        };
        let group = if solo { None } else { self.queues.push(rx, &avoid, key) };
        let bar = if avoid.is_empty() { Bar::Open } else { bar };
        if let Some(action) = self.actions.get_mut(ax) {
            action.state = State::Waiting { group, bar, patience };
        }
        self.note_voting(ax, rx);
        self.timers.set(patience, Timer::Patience(ax));
        self.tallies.waiting += 1;
    }

    /// Whether an action has one attempt left, and a worker that did not fail it and has not failed since its last success could
    /// have it. It waits for such a worker, as long as its patience lasts: in a pool of which half is bad, others lose it.
    fn is_choosy(&self, ax: Ax) -> bool {
        let Some(action) = self.actions.get(ax) else {
            return false;
        };
        let Some(trials) = action.trials.as_deref() else {
            return false;
        };
        // How many it has by the rate of its kind may become fewer, but never fewer than the fewest.
        let fewest = self.attempts_max(action).min(match action.attempts {
            0 => self.policy.attempts_min,
            own => own,
        });
        // One more trap may be the proof that it is poison.
        let fewest = if trials.has_trapped {
            fewest.min(TRAPS_MIN)
        } else {
            fewest
        };
        let is_last = action.failed > 0 && action.failed + 1 >= fewest;
        if !is_last || trials.solo || self.policy.blame != Blame::Deferred {
            return false;
        }
        let is_clean = |wx: &&Wx| self.is_usable(**wx) && !self.has_failed(**wx);
        let tried = trials.failed_on.iter().filter(is_clean).count();
        let failing = self.over_pools(action.rx, |pool| pool.blemished);
        self.allowed(ax, action.rx) > tried + failing
    }

    /// Whether a worker has failed since its last success.
    pub(crate) fn has_failed(&self, wx: Wx) -> bool {
        self.workers.get(wx).is_some_and(|worker| worker.record.straight > 0)
    }

    /// Has an action avoid those workers with room that have failed since their last success.
    fn shun_free(&mut self, ax: Ax, rx: Rx) {
        let pools = self.queues.routes.get(rx).map_or(&[][..], |route| &route.pools);
        let pools = pools.iter().filter_map(|px| self.pools.get(*px));
        let entries = pools.flat_map(|pool| pool.free.iter().chain(&pool.prefetch));
        let failing: Vec<Wx> = entries
            .map(|entry| entry.wx)
            .filter(|wx| self.has_failed(*wx))
            .collect();
        self.avoid_failing(ax, &failing);
    }

    /// Has a waiting action avoid a worker that it should not have its last attempt on. False: it may have it there.
    pub(crate) fn shun(&mut self, ax: Ax, wx: Wx, out: &mut Vec<Command>) -> bool {
        let Some(State::Waiting { bar, patience, .. }) = self.actions.get(ax).map(|action| action.state) else {
            return false;
        };
        if !matches!(bar, Bar::Tried | Bar::AllBut(_)) || !self.has_failed(wx) || !self.is_choosy(ax) {
            return false;
        }
        self.avoid_failing(ax, &[wx]);
        self.leave(ax);
        self.queue(ax, bar, patience, out);
        true
    }

    fn avoid_failing(&mut self, ax: Ax, failing: &[Wx]) {
        let Some(trials) = self.actions.get_mut(ax).and_then(|action| action.trials.as_deref_mut()) else {
            return;
        };
        for wx in failing {
            if !trials.shunned.contains(wx) {
                trials.shunned.push(*wx);
            }
            if let Some(worker) = self.workers.get_mut(*wx) {
                worker.shunned_by.insert(ax);
            }
        }
    }

    /// Ends what [`Scheduler::avoid_failing`] began.
    fn shuns_none(&mut self, ax: Ax) {
        let trials = self.actions.get_mut(ax).and_then(|action| action.trials.as_deref_mut());
        let shunned = trials.map_or_else(Vec::new, |trials| std::mem::take(&mut trials.shunned));
        self.is_shunned_no_more(ax, &shunned);
    }

    /// An action does not avoid these workers any more for their failures.
    fn is_shunned_no_more(&mut self, ax: Ax, shunned: &[Wx]) {
        for wx in shunned {
            if let Some(worker) = self.workers.get_mut(*wx) {
                worker.shunned_by.remove(&ax);
            }
        }
    }

    /// Takes a settled action off the lists of the workers that it avoided.
    pub(crate) fn forget_shunned(&mut self, ax: Ax, trials: &Trials) {
        self.is_shunned_no_more(ax, &trials.shunned);
    }

    /// An action was given an attempt back: the next one is not its last.
    pub(crate) fn is_less_choosy(&mut self, ax: Ax, out: &mut Vec<Command>) {
        let trials = self.actions.get(ax).and_then(|action| action.trials.as_deref());
        if trials.is_some_and(|trials| !trials.shunned.is_empty()) {
            self.place_again(ax, out);
        }
    }

    /// A worker has a success after failures: actions need not avoid it any more for these.
    pub(crate) fn is_clean_again(&mut self, wx: Wx, out: &mut Vec<Command>) {
        let shunned_by = match self.workers.get_mut(wx) {
            Some(worker) if !worker.shunned_by.is_empty() => std::mem::take(&mut worker.shunned_by),
            _ => return,
        };
        for ax in shunned_by {
            if let Some(trials) = self.actions.get_mut(ax).and_then(|action| action.trials.as_deref_mut()) {
                trials.shunned.retain(|shunned| *shunned != wx);
            }
            self.place_again(ax, out);
        }
    }

    /// The workers that an action avoids under this bar: rising, each once.
    pub(crate) fn avoided(&self, ax: Ax, bar: Bar) -> Vec<Wx> {
        let trials = self.actions.get(ax).and_then(|action| action.trials.as_deref());
        let is_open = |kx: Kx| self.kinds.get(kx).is_none_or(|kind| kind.barred.is_empty());
        if trials.is_none() && self.actions.get(ax).is_none_or(|action| is_open(action.kx)) {
            return Vec::new();
        }
        let mut avoid = trials.map_or_else(Vec::new, |trials| trials.avoid(bar));
        let mut barred = self.barred(ax).peekable();
        if barred.peek().is_some() {
            avoid.extend(barred);
            avoid.sort_unstable();
            avoid.dedup();
        }
        avoid
    }

    /// Remembers that an action which waits or rests has votes.
    pub(crate) fn note_voting(&mut self, ax: Ax, rx: Rx) {
        if !self.votes(ax).is_empty()
            && let Some(route) = self.queues.routes.get_mut(rx)
        {
            route.voting.insert(ax);
        }
    }

    /// An action has waited long enough: it avoids less.
    pub(crate) fn impatient(&mut self, ax: Ax, out: &mut Vec<Command>) {
        let Some(action) = self.actions.get(ax) else { return };
        let State::Waiting { bar, patience, .. } = action.state else {
            return;
        };
        let trials = action.trials.as_deref();
        // As long as something works, there is a worker that is worth waiting for.
        let worked = self.over_route(action.rx).map(|pool| pool.spells.worked_at).max();
        let gives_up = trials
            .and_then(|trials| trials.first_failed)
            .max(worked)
            .map_or(self.now, |last| last + self.policy.backoff_max);
        if matches!(bar, Bar::Tried | Bar::AllBut(_)) && self.now < gives_up && self.is_choosy(ax) {
            self.leave(ax);
            return self.rest(ax, self.later(self.policy.backoff_min));
        }
        let last = trials.and_then(|trials| trials.failed_on.last().copied());
        let last_counts = last.is_some_and(|wx| self.is_usable(wx) && !self.barred(ax).any(|barred| barred == wx));
        let others = self.allowed(ax, action.rx) > usize::from(last_counts);
        let next = match bar {
            Bar::Tried | Bar::AllBut(_) if others => Bar::Last,
            _ => Bar::Open,
        };
        self.leave(ax);
        self.shuns_none(ax);
        self.undefer(ax);
        // Counted from when this was due, not from when it was noticed: twice the patience is the most.
        self.queue(ax, next, patience + self.policy.patience, out);
    }

    /// Looks again at the actions of a pool's routes that avoid everybody who is usable now.
    pub(crate) fn unstick(&mut self, px: Px, out: &mut Vec<Command>) {
        if self.planted(Plant::ForgetStuck) {
            return;
        }
        let mut index = 0;
        while let Some(rx) = self.route(px, index) {
            index += 1;
            let usable = self.usable(rx);
            if usable == 0 {
                continue;
            }
            let mut stuck = self.queues.stuck(rx, usable, |wx| self.is_usable(wx));
            stuck.extend(self.stuck_solo(rx));
            for ax in stuck {
                self.place_again(ax, out);
            }
        }
    }

    /// Settles what nobody can take any more, after a worker of this pool is out for good.
    pub(crate) fn strand(&mut self, px: Px, out: &mut Vec<Command>) {
        let routes = self.pools.get(px).map_or_else(Vec::new, |pool| pool.routes.clone());
        for rx in routes {
            if self.is_unroutable(rx) {
                for ax in self.queues.all(rx) {
                    self.give_up(ax, Reason::Unroutable, out);
                }
            }
            for ax in self.voting(rx) {
                if self.is_out_of_voters(ax, rx) {
                    self.give_up(ax, Reason::Unroutable, out);
                }
            }
        }
    }
}

impl Trials {
    /// Drops the workers that never come back.
    fn forget(&mut self, is_gone: impl Fn(Wx) -> bool) {
        let earlier = self.failed_on.len() - self.tried;
        let mut index = 0;
        let mut tried = self.tried;
        self.failed_on.retain(|wx| {
            let gone = is_gone(*wx);
            tried -= usize::from(gone && index >= earlier);
            index += 1;
            !gone
        });
        self.tried = tried;
    }

    /// Whether it may go to every worker.
    pub(crate) fn avoids_none(&self) -> bool {
        self.failed_on.is_empty() && self.votes.is_empty()
    }

    /// The workers that this bar bars: rising, each once.
    fn avoid(&self, bar: Bar) -> Vec<Wx> {
        let failed_on = self.failed_on.iter().copied();
        let mut avoid: Vec<Wx> = match bar {
            Bar::Tried => failed_on.chain(self.shunned.iter().copied()).collect(),
            Bar::AllBut(turn) => failed_on
                .filter(|wx| *wx != turn)
                .chain(self.shunned.iter().copied())
                .collect(),
            Bar::Last => self.failed_on.last().copied().into_iter().collect(),
            Bar::Open => Vec::new(),
        };
        avoid.sort_unstable();
        avoid.dedup();
        avoid
    }
}
