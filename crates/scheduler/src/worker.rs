//! A worker as the dispatcher knows it, and the pool that it belongs to.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use crate::{
    busy::BusyTrial,
    ids::{ActionId, AttemptId, Ax, Bx, Kx, Ox, PoolId, Px, Rx, WorkerId, Wx},
    mean::Mean,
    moment::Moment,
    outcome::{Evicted, Health},
    policy::Policy,
    skill::Skill,
    systemic::{Outage, Probe, Spells, Streak},
};

/// How many durations a mean needs before it is believed. Arbitrary: "a few".
const SAMPLES_MIN: u32 = 4;

/// Where a worker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is given work, now or after a rest.
    Usable { trust: Trust, rest: Rest },
    /// It is given nothing until then. `judged`: for failing too often, not for an explicit fault; only those count
    /// for the pool's cap.
    Quarantined { until: Moment, round: u32, judged: bool },
    /// It ends what it is doing.
    Draining,
    /// It is given nothing any more.
    Evicted(Evicted),
    /// It is not there any more.
    Gone,
}

/// How far a usable worker is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Healthy,
    /// `further`: how many failures came after the one that made it suspect.
    Suspect {
        further: u32,
    },
    /// `passed`: how many successes in a row it has shown.
    Probation {
        round: u32,
        passed: u32,
    },
}

/// Whether a usable worker is left alone for a while, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    None,
    /// It is at its limit.
    Busy {
        until: Moment,
    },
    /// It is suspect and given work slowly, or the host had not enough of something for it.
    Damped {
        until: Moment,
    },
}

impl Rest {
    /// When it is over; the beginning of all time if it is not left alone.
    pub(crate) fn until(self) -> Moment {
        match self {
            Self::None => Moment::START,
            Self::Busy { until } | Self::Damped { until } => until,
        }
    }

    /// The same, but not for being suspect.
    pub(crate) fn undamped(self) -> Self {
        match self {
            Self::Damped { .. } => Self::None,
            other => other,
        }
    }
}

impl Standing {
    /// What a worker that joins or is readmitted starts as.
    pub(crate) const FRESH: Self = Self::Usable {
        trust: Trust::Healthy,
        rest: Rest::None,
    };

    pub(crate) fn is_usable(self) -> bool {
        matches!(self, Self::Usable { .. })
    }

    /// Whether it can be given work now or, after waiting, later.
    pub(crate) fn is_present(self) -> bool {
        matches!(self, Self::Usable { .. } | Self::Quarantined { .. })
    }

    /// Whether it counts for its pool's size.
    pub(crate) fn is_member(self) -> bool {
        !matches!(self, Self::Evicted(_) | Self::Gone)
    }

    pub(crate) fn is_judged(self) -> bool {
        matches!(self, Self::Quarantined { judged: true, .. })
    }

    /// When it changes by itself. [`Moment::NEVER`]: it does not.
    pub(crate) fn until(self) -> Moment {
        match self {
            Self::Quarantined { until, .. }
            | Self::Usable {
                rest: Rest::Busy { until } | Rest::Damped { until },
                ..
            } => until,
            _ => Moment::NEVER,
        }
    }

    /// The same in the words of the alphabet.
    pub(crate) fn health(self) -> Health {
        match self {
            Self::Usable {
                rest: Rest::Busy { until },
                ..
            } => Health::Busy { until },
            Self::Usable { trust, .. } => match trust {
                Trust::Healthy => Health::Healthy,
                Trust::Suspect { .. } => Health::Suspect,
                Trust::Probation { round, .. } => Health::Probation { round },
            },
            Self::Quarantined { until, round, .. } => Health::Quarantined { until, round },
            Self::Draining => Health::Draining,
            Self::Evicted(why) => Health::Evicted(why),
            Self::Gone => Health::Gone,
        }
    }
}

/// What a worker has shown so far. A readmission wipes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// The distinct actions of its failures since its last success of which nobody knows yet whose fault they were, at most as
    /// many as make it suspect.
    pub(crate) row: Vec<ActionId>,
    /// Its failures in a row, known or not.
    pub(crate) straight: u32,
    /// When the first of these was, or when the service was back for all if that is later.
    pub(crate) failing_since: Moment,
    /// How much likelier it is a bad one than one as flaky as everybody, as a logarithm.
    pub(crate) score: f64,
    /// Its last failures, the oldest first.
    pub(crate) past: VecDeque<Past>,
    /// Its successes since the last of them.
    pub(crate) since: u32,
    /// The round of its last quarantine, less what was forgiven.
    pub(crate) round: u32,
    /// Quarantines since it last passed a probation.
    pub(crate) unproved: u32,
    /// Successes since a quarantine was last forgiven.
    pub(crate) good: u32,
    /// Times in a row that it was busy without saying for how long.
    pub(crate) busy_row: u32,
    /// Times in a row that the host had not enough of something for it.
    pub(crate) starved: u32,
    /// Times in a row that it was busy though it had something to spend.
    pub(crate) busies: u32,
    /// When it was so, the last time.
    pub(crate) pressed: Option<Moment>,
    /// Results in a row that others have confirmed.
    pub(crate) valid: u32,
    /// Results in a row that others have contradicted.
    pub(crate) outvoted: u32,
    /// Successes since it was last given more or less at once.
    pub(crate) widened: u32,
    /// The distinct actions since its last success for which it reported that it is unfit and that have no verdict.
    pub(crate) unfit: Vec<ActionId>,
    /// How often it reported that since its last success, and when it last did.
    pub(crate) unfit_row: u32,
    pub(crate) unfit_at: Moment,
    /// It was the last usable one when it was quarantined for such reports, and has not succeeded since.
    pub(crate) unfit_last: bool,
    /// How many at once were too many, the last time that it was given less; 0: that is not known.
    pub(crate) failed_at: u32,
    /// How many times that was tried again in vain.
    pub(crate) width_tries: u32,
    /// The action that it rests for, if it is busy because of that one alone.
    pub(crate) busy_by: Option<ActionId>,
    /// It is tried with other work before its time is up.
    pub(crate) trial: Option<BusyTrial>,
    /// The first of its waits in a row without a hint.
    pub(crate) busy_first: Duration,
    /// It succeeded since it was last busy.
    pub(crate) worked: bool,
}

/// How many of a worker's last failures are weighed. Arbitrary: more than a bad worker needs to be found, and less than
/// two kilobytes.
pub(crate) const PAST_MAX: usize = 32;

/// A failure of a worker, and what came before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past {
    /// Successes since the failure before.
    pub(crate) before: u32,
    pub(crate) action: ActionId,
    /// The kind of that, if it is known.
    pub(crate) kx: Option<Kx>,
    /// When it failed.
    pub(crate) at: Moment,
    /// What it adds to the score. Zero while nobody knows whose fault it was, and if it was not the worker's.
    pub(crate) guilt: f64,
}

/// How often what was seen of a worker. For reports; decides nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    pub(crate) lost: u64,
    pub(crate) busy: u64,
    pub(crate) faults: u64,
    pub(crate) outvoted: u64,
    pub(crate) quarantines: u32,
}

/// Whether a worker can be given one more attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    None,
    /// It would begin at once.
    Slot,
    /// It would lie ready for when a slot is free.
    Prefetch,
}

/// A worker's entry in its pool's list. Less is given work first: whose quota goes to waste the soonest, then who has the
/// fewest attempts, then whoever was given work the longest ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) expires: Moment,
    pub(crate) load: u32,
    pub(crate) last_assigned: u64,
    pub(crate) wx: Wx,
}

impl Entry {
    /// Of a worker that is not listed yet.
    const NONE: Self = Self {
        expires: Moment::NEVER,
        load: 0,
        last_assigned: 0,
        wx: Wx::FIRST,
    };
}

/// An attempt that a worker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) attempt: AttemptId,
    /// Its number among all dispatches.
    pub(crate) seq: u64,
}

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) px: Px,
    /// At least 1.
    pub(crate) slots: u32,
    /// How many of them are used: fewer while it is busy again and again. At least 1.
    pub(crate) width: u32,
    pub(crate) standing: Standing,
    pub(crate) record: Record,
    pub(crate) tally: Tally,
    /// What it is making or has lying ready, also what it was told to stop. In no order; as short as its slots.
    pub(crate) attempts: Vec<Held>,
    /// The owner, if its results count only when they are confirmed.
    pub(crate) ox: Option<Ox>,
    /// What it draws from: rising, each once.
    pub(crate) buckets: Box<[Bx]>,
    /// It is given nothing until it can pay for an action that costs more than usual.
    pub(crate) saving: bool,
    /// In the lines of which buckets it waits, and its places there: as few as it has buckets.
    pub(crate) waits: Vec<(Bx, u64)>,
    /// Actions that it failed and that are open: they accuse it.
    pub(crate) accusers: BTreeSet<Ax>,
    /// The open actions that avoid it because it failed lately.
    pub(crate) shunned_by: BTreeSet<Ax>,
    /// It makes an attempt that must be the only one.
    pub(crate) alone: bool,
    /// It is given nothing more until it is free for such an attempt of this route.
    pub(crate) kept: Option<Rx>,
    /// Counts assignments over all workers: the number of its last one.
    pub(crate) last_assigned: u64,
    /// What it is like at each kind that it was given: rising, each once. Empty while there is only one kind.
    pub(crate) skills: Vec<Skill>,
    /// Where its pool lists it.
    pub(crate) listed: (Room, Entry),
    /// Of its attempts with a result.
    pub(crate) took: Mean,
}

impl Worker {
    pub(crate) fn new(id: WorkerId, px: Px, slots: u32) -> Self {
        Self {
            id,
            px,
            slots: slots.max(1),
            width: slots.max(1),
            standing: Standing::FRESH,
            record: Record::default(),
            tally: Tally::default(),
            attempts: Vec::new(),
            ox: None,
            buckets: Box::default(),
            saving: false,
            waits: Vec::new(),
            accusers: BTreeSet::new(),
            shunned_by: BTreeSet::new(),
            alone: false,
            kept: None,
            last_assigned: 0,
            skills: Vec::new(),
            listed: (Room::None, Entry::NONE),
            took: Mean::default(),
        }
    }

    pub(crate) fn load(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap_or(u32::MAX)
    }

    /// Whether it can be given one more attempt.
    pub(crate) fn room(&self, policy: &Policy) -> Room {
        let Standing::Usable {
            trust,
            rest: Rest::None,
        } = self.standing
        else {
            return Room::None;
        };
        let load = self.load();
        if self.saving || (load > 0 && (self.alone || self.kept.is_some())) {
            return Room::None;
        }
        match trust {
            _ if self.record.trial.is_some() && load > 0 => Room::None,
            Trust::Probation { .. } if load == 0 => Room::Slot,
            Trust::Probation { .. } => Room::None,
            Trust::Healthy | Trust::Suspect { .. } if load < self.width => Room::Slot,
            // What lies ready would count as spent: nobody should wait for a quota in vain.
            Trust::Healthy
                if self.buckets.is_empty()
                    && load < self.width.saturating_add(policy.prefetch)
                    && self.is_quick(policy) =>
            {
                Room::Prefetch
            }
            _ => Room::None,
        }
    }

    fn is_quick(&self, policy: &Policy) -> bool {
        self.record.row.is_empty() && self.took.samples() >= SAMPLES_MIN && self.took.get() < policy.prefetch_below
    }
}

/// Workers that serve the same kinds.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) id: PoolId,
    /// The routes that it is part of, each once.
    pub(crate) routes: Vec<Rx>,
    /// Whether a worker ever joined. Before that its actions wait; nobody can say yet that nobody comes.
    pub(crate) joined: bool,
    /// Whether an attempt ever succeeded in it.
    pub(crate) has_worked: bool,
    /// How many workers are neither evicted nor gone.
    pub(crate) members: usize,
    /// How many of them are usable or in quarantine.
    pub(crate) present: usize,
    /// How many of those are usable, busy ones included.
    pub(crate) usable: usize,
    /// How many are in quarantine for failing too often.
    pub(crate) judged: usize,
    /// What speaks for everything failing, whoever tries it.
    pub(crate) streak: Streak,
    /// The numbers of the last of these that were outages.
    pub(crate) long_streaks: VecDeque<u32>,
    /// When that was so, the last time.
    pub(crate) outage: Option<Outage>,
    /// When most of its workers failed at about the same time.
    pub(crate) spells: Spells,
    /// How many of its usable workers have failed since their last success.
    pub(crate) blemished: usize,
    /// While everything fails: how it is probed.
    pub(crate) probe: Option<Probe>,
    /// Workers with a free slot.
    pub(crate) free: BTreeSet<Entry>,
    /// Workers without one that can be given something to lie ready.
    pub(crate) prefetch: BTreeSet<Entry>,
}

impl Pool {
    pub(crate) fn new(id: PoolId) -> Self {
        Self {
            id,
            routes: Vec::new(),
            joined: false,
            has_worked: false,
            members: 0,
            present: 0,
            usable: 0,
            judged: 0,
            streak: Streak::default(),
            long_streaks: VecDeque::new(),
            outage: None,
            spells: Spells::default(),
            blemished: 0,
            probe: None,
            free: BTreeSet::new(),
            prefetch: BTreeSet::new(),
        }
    }

    /// The first of its lists: with a free slot, and to be given something to lie ready.
    pub(crate) fn heads(&self) -> [Option<Entry>; 2] {
        [self.free.first().copied(), self.prefetch.first().copied()]
    }
}
