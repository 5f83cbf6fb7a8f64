//! Results of workers that nobody vouches for.
//!
//! A worker with an *owner* runs on somebody else's machine, and what it says may be a lie. So its result is only a vote: it
//! counts when a worker of another owner says the same, or when one does that belongs to nobody, which is believed at once. A
//! worker that was right often enough is checked by chance only. That an action can never work is a result like any other.
//!
//! Who said something else than what was settled was guilty of it, as if it had failed what others could do.

use crate::{
    action::State,
    blame::Accused,
    command::Command,
    ids::{AttemptId, Ax, Ox, Rx, Wx},
    moment::Moment,
    outcome::{Class, End},
    scheduler::{Plant, Scheduler},
    worker::{Standing, Trust},
};

/// The ballots of those who say that an action can never work, or that its result is too large.
const PERMANENT: u32 = u32::MAX;
const OVERSIZE: u32 = u32::MAX - 1;

/// How many equal votes settle an action. scheduler-policy: "two equal results from different owners".
const EQUAL: usize = 2;

/// What one worker said of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    wx: Wx,
    ox: Ox,
    number: u32,
    ballot: u32,
    at: Moment,
}

/// What becomes of an action after a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// It is as the last vote says.
    Decided,
    /// Somebody else has to say the same.
    Open,
    /// So many have said so many different things that nobody will ever agree.
    Hung,
}

impl End {
    /// What it says as a vote. None: nothing.
    fn ballot(self) -> Option<u32> {
        match self {
            Self::Vote { ballot } => Some(ballot.min(OVERSIZE - 1)),
            Self::Permanent => Some(PERMANENT),
            Self::Oversize => Some(OVERSIZE),
            _ => None,
        }
    }
}

impl Scheduler {
    /// Counts what a worker said of an action.
    pub(crate) fn count(&mut self, ax: Ax, wx: Wx, attempt: AttemptId, end: End, out: &mut Vec<Command>) -> Count {
        let owner = self.workers.get(wx).and_then(|worker| worker.ox);
        let votes = self.votes(ax);
        let is_believed = owner.is_none() && votes.is_empty() || self.planted(Plant::BelieveAll);
        let (Some(ballot), false) = (end.ballot(), is_believed) else {
            // Somebody who is believed at once, and nobody who said anything else before.
            return Count::Decided;
        };
        let Some(ox) = owner else {
            self.close_ballot(ax, ballot, None, out);
            return Count::Decided;
        };
        if votes.iter().any(|vote| vote.ox == ox) {
            // Nobody votes twice.
            return Count::Open;
        }
        let equal = votes.iter().filter(|vote| vote.ballot == ballot).count() + 1;
        let all = votes.len() + 1;
        if (all == 1 && !self.is_checked(wx)) || equal >= EQUAL {
            match equal >= EQUAL {
                true => self.close_ballot(ax, ballot, Some(wx), out),
                // It is believed: its result counts as a success of any worker does.
                false => self.credit(wx, ax, out),
            }
            return Count::Decided;
        }
        let at = self.now;
        if let Some(action) = self.actions.get_mut(ax) {
            action.trials.get_or_insert_default().votes.push(Vote {
                wx,
                ox,
                number: attempt.number,
                ballot,
                at,
            });
        }
        match all >= self.policy.votes_max as usize {
            true => Count::Hung,
            false => Count::Open,
        }
    }

    pub(crate) fn votes(&self, ax: Ax) -> &[Vote] {
        let trials = self.actions.get(ax).and_then(|action| action.trials.as_deref());
        trials.map_or(&[], |trials| &trials.votes)
    }

    /// Whether what this worker says is to be compared this time.
    fn is_checked(&mut self, wx: Wx) -> bool {
        let Some(worker) = self.workers.get(wx) else {
            return true;
        };
        let valid = worker.record.valid;
        if valid < self.policy.trusted_after {
            return true;
        }
        let part = (1.0 / f64::from(valid)).max(self.policy.check_min);
        self.luck.happens(part)
    }

    /// An action is settled by votes: who was right has one more to its credit, who was not has none any more and is accused.
    /// `last`: whose vote was the last.
    fn close_ballot(&mut self, ax: Ax, ballot: u32, last: Option<Wx>, out: &mut Vec<Command>) {
        let now = self.now;
        let Some(action) = self.actions.get_mut(ax) else { return };
        let (id, kx) = (action.id, action.kx);
        let Some(trials) = action.trials.as_deref_mut() else {
            return;
        };
        let (right, wrong): (Vec<Vote>, Vec<Vote>) = std::mem::take(&mut trials.votes)
            .into_iter()
            .partition(|vote| vote.ballot == ballot);
        for vote in &wrong {
            trials.accused.retain(|accused| accused.wx != vote.wx);
            trials.accused.push(Accused::of_lie(vote.wx, vote.number, vote.at));
        }
        for wx in right.iter().map(|vote| vote.wx).chain(last) {
            if let Some(worker) = self.workers.get_mut(wx) {
                worker.record.valid = worker.record.valid.saturating_add(1);
                worker.record.outvoted = 0;
            }
            self.credit(wx, ax, out);
        }
        for vote in wrong {
            let Some(worker) = self.workers.get_mut(vote.wx) else {
                continue;
            };
            worker.record.valid = 0;
            worker.record.failed(id, Some(kx), now);
            worker.record.outvoted = worker.record.outvoted.saturating_add(1);
            worker.accusers.insert(ax);
            worker.tally.outvoted += 1;
            // From the second time in a row it is given work slowly, until a result of it is confirmed.
            let Some(further) = worker.record.outvoted.checked_sub(2) else {
                continue;
            };
            if let Standing::Usable {
                trust: Trust::Healthy | Trust::Suspect { .. },
                rest,
            } = worker.standing
            {
                self.suspect(vote.wx, Some(kx), further, rest, out);
            }
        }
    }

    /// A vote of a worker counts as a success: others have said the same, or it is believed.
    fn credit(&mut self, wx: Wx, ax: Ax, out: &mut Vec<Command>) {
        if let Some(kx) = self.actions.get(ax).map(|action| action.kx) {
            self.relieve(wx, kx);
        }
        self.succeeded(wx, out);
        self.stirred.push(wx);
    }

    /// Whether the end of an attempt is a vote that nobody has confirmed yet.
    pub(crate) fn is_unconfirmed(&self, wx: Wx, end: End) -> bool {
        let owned = self.workers.get(wx).is_some_and(|worker| worker.ox.is_some());
        owned && matches!(end, End::Vote { .. })
    }

    /// What the end of an attempt says if nobody vouches for its worker.
    pub(crate) fn is_vote(&self, wx: Wx, end: End) -> bool {
        let owned = self.workers.get(wx).is_some_and(|worker| worker.ox.is_some());
        matches!(end, End::Vote { .. }) || (owned && end.class() == Class::Permanent)
    }

    /// Who of its route an action must not go to, because somebody of the same owner has voted: in no order.
    fn voted(&self, ax: Ax) -> impl Iterator<Item = Wx> + '_ {
        let action = self.actions.get(ax).filter(|_| !self.planted(Plant::SameOwner));
        let route = action.and_then(|action| self.queues.routes.get(action.rx));
        let pools = route.map_or(&[][..], |route| &route.pools);
        let serves = |wx: &Wx| self.workers.get(*wx).is_some_and(|worker| pools.contains(&worker.px));
        let owners = self.votes(ax).iter().filter_map(|vote| self.owners.get(vote.ox));
        owners.flatten().copied().filter(serves)
    }

    /// Who of its route an action must not go to, for that or because it is barred from its kind: in no order, each once.
    pub(crate) fn barred(&self, ax: Ax) -> impl Iterator<Item = Wx> + '_ {
        let kind = self.actions.get(ax).and_then(|action| self.kinds.get(action.kx));
        let barred = kind.map_or(&[][..], |kind| &kind.barred);
        let is_new = move |wx: &Wx| barred.binary_search(wx).is_err();
        barred.iter().copied().chain(self.voted(ax).filter(is_new))
    }

    /// How many usable workers of its route an action may go to at all.
    pub(crate) fn allowed(&self, ax: Ax, rx: Rx) -> usize {
        let barred = self.barred(ax).filter(|wx| self.is_usable(*wx));
        self.usable(rx).saturating_sub(barred.count())
    }

    /// Whether nobody is left, now or after waiting, who may vote on an action after those who have.
    pub(crate) fn is_out_of_voters(&self, ax: Ax, rx: Rx) -> bool {
        if self.votes(ax).is_empty() || self.draining {
            return false;
        }
        let is_present = |wx: &Wx| self.workers.get(*wx).is_some_and(|worker| worker.standing.is_present());
        self.voted(ax).filter(is_present).count() >= self.over_pools(rx, |pool| pool.present)
    }

    /// A worker of this owner has joined: what its fellows have voted on is not for it.
    pub(crate) fn bar(&mut self, rx: Rx, ox: Ox, out: &mut Vec<Command>) {
        for ax in self.voting(rx) {
            let waits = matches!(
                self.actions.get(ax).map(|action| action.state),
                Some(State::Waiting { .. })
            );
            if waits && self.votes(ax).iter().any(|vote| vote.ox == ox) {
                self.place_again(ax, out);
            }
        }
    }

    /// What waits or rests of a route and has votes.
    pub(crate) fn voting(&self, rx: Rx) -> Vec<Ax> {
        let route = self.queues.routes.get(rx);
        route.map_or_else(Vec::new, |route| route.voting.iter().copied().collect())
    }
}
