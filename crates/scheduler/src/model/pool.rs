//! A pool: workers that serve the same kinds.

use std::collections::{BTreeSet, VecDeque};

use crate::{
    ids::{PoolId, Rx},
    model::{
        outage::{Bursts, Outage, Probe, Streak},
        worker::Entry,
    },
};

impl Pool {
    /// Whether this row of failures is over and was short. One in which enough failed for so long that the pool was
    /// probed was an outage; before its first success a pool has none.
    pub(crate) fn refutes(&self, streak: Option<u32>) -> bool {
        streak.is_some_and(|number| number != self.streak.number() && !self.long_streaks.contains(&number))
    }
}

/// Workers that serve the same kinds.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) id: PoolId,
    /// The routes that it is part of, each once.
    pub(crate) routes: Vec<Rx>,
    /// Whether a worker ever joined. Before that its actions wait; it is unknown yet that no worker comes.
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
    /// The failures since its last success.
    pub(crate) streak: Streak,
    /// The numbers of the last of these that were outages.
    pub(crate) long_streaks: VecDeque<u32>,
    /// When that was so, the last time.
    pub(crate) outage: Option<Outage>,
    /// When most of its workers failed at about the same time.
    pub(crate) bursts: Bursts,
    /// How many of its usable workers have failed since their last success.
    pub(crate) failing: usize,
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
            bursts: Bursts::default(),
            failing: 0,
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
