//! The lines of waiting actions.
//!
//! A **route** is a set of pools; kinds that the same pools serve share one. A kind that takes more of a quota than
//! usual has a route of its own, so that a worker which cannot pay for it finds what stands behind it. Within a route,
//! actions that are barred from no worker stand in the **open line**. Actions that avoid some workers stand in
//! **groups**: all that avoid the same workers stand together, so a free worker steps over a whole group at once and
//! compares only heads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    ids::{Ax, Gx, Kx, Px, Rx, Wx},
    model::{latency::RunningAttempt, order::Key, worker::Entry},
    slab::{Slab, Slot},
};

/// Actions that avoid the same workers. Never empty.
#[derive(Debug)]
struct Group {
    /// The workers that they avoid: rising, each once, at least one.
    avoid: Box<[Wx]>,
    line: BTreeSet<Key>,
}

/// One set of pools, and the actions that wait for a worker of them.
#[derive(Debug, Default)]
pub(crate) struct Route {
    /// Rising, each once. Empty: no pool serves it.
    pub(crate) pools: Box<[Px]>,
    /// The first worker with a free slot of each of its pools, if they are many: see [`Route::is_wide`].
    pub(crate) free: BTreeSet<(Entry, Px)>,
    /// The same of those that can be given something to lie ready.
    pub(crate) prefetch: BTreeSet<(Entry, Px)>,
    /// Those that back off. Kept here so that they are found when the last worker goes.
    pub(crate) resting: BTreeSet<Ax>,
    open: BTreeSet<Key>,
    /// Actions that got lost and are tried again only on a worker that does nothing else. Few.
    pub(crate) solo: BTreeSet<Key>,
    /// The worker that is given nothing more until it is free for one of them.
    pub(crate) reserved: Option<Wx>,
    /// Actions that wait or rest and have votes.
    pub(crate) voting: BTreeSet<Ax>,
    /// Attempts that are slow and have no second one yet; among them some that are over.
    pub(crate) slow: VecDeque<RunningAttempt>,
    by_avoided: BTreeMap<Box<[Wx]>, Gx>,
    heads: BTreeSet<(Key, Gx)>,
    /// Groups by how many workers they avoid: only those that avoid at least as many as are usable can be stuck.
    by_length: BTreeSet<(usize, Gx)>,
}

/// From how many pools on a route keeps the first free worker of each. Below that, looking at all of them costs less
/// than keeping this. Arbitrary: about where both cost the same.
const WIDE: usize = 16;

impl Route {
    /// Whether it keeps the first free worker of each of its pools.
    pub(crate) fn is_wide(&self) -> bool {
        self.pools.len() >= WIDE
    }
}

/// Everything that waits for a worker.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    pub(crate) routes: Slab<Rx, Route>,
    by_pools: BTreeMap<(Box<[Px]>, Option<Kx>), Rx>,
    groups: Slab<Gx, Group>,
}

impl Queues {
    /// The route of these pools (rising, each once) and whether it is new. `costly`: of this kind alone.
    pub(crate) fn route(&mut self, pools: &[Px], costly: Option<Kx>) -> (Rx, bool) {
        let of: (Box<[Px]>, Option<Kx>) = (pools.into(), costly);
        if let Some(rx) = self.by_pools.get(&of) {
            return (*rx, false);
        }
        let rx = self.routes.insert(Route {
            pools: pools.into(),
            ..Route::default()
        });
        self.by_pools.insert(of, rx);
        (rx, true)
    }

    /// Puts an action in line. `avoid` is rising, each once. Says which group it stands in; none: the open line.
    pub(crate) fn push(&mut self, rx: Rx, avoid: &[Wx], key: Key) -> Option<Gx> {
        let route = self.routes.get_mut(rx)?;
        if avoid.is_empty() {
            route.open.insert(key);
            return None;
        }
        if let Some(gx) = route.by_avoided.get(avoid).copied() {
            let group = self.groups.get_mut(gx)?;
            if let Some(head) = group.line.first().copied()
                && key < head
            {
                route.heads.remove(&(head, gx));
                route.heads.insert((key, gx));
            }
            group.line.insert(key);
            return Some(gx);
        }
        let gx = self.groups.insert(Group {
            avoid: avoid.into(),
            line: BTreeSet::from([key]),
        });
        route.by_avoided.insert(avoid.into(), gx);
        route.by_length.insert((avoid.len(), gx));
        route.heads.insert((key, gx));
        Some(gx)
    }

    /// Takes an action out of line.
    pub(crate) fn remove(&mut self, rx: Rx, gx: Option<Gx>, key: Key) {
        let Some(route) = self.routes.get_mut(rx) else { return };
        let Some(gx) = gx else {
            route.open.remove(&key);
            return;
        };
        let Some(group) = self.groups.get_mut(gx) else { return };
        let was_head = group.line.first() == Some(&key);
        group.line.remove(&key);
        if was_head {
            route.heads.remove(&(key, gx));
            if let Some(head) = group.line.first() {
                route.heads.insert((*head, gx));
                return;
            }
            if let Some(group) = self.groups.remove(gx) {
                route.by_length.remove(&(group.avoid.len(), gx));
                route.by_avoided.remove(&group.avoid);
            }
        }
    }

    /// The action of this route that is next for this worker. Costs a step for each group before it that avoids the
    /// worker.
    pub(crate) fn first_for(&self, rx: Rx, wx: Wx) -> Option<Key> {
        let route = self.routes.get(rx)?;
        let open = route.open.first().copied();
        for (key, gx) in &route.heads {
            if open.is_some_and(|open| open < *key) {
                break;
            }
            if !self.avoids(*gx, wx) {
                return Some(*key);
            }
        }
        open
    }

    /// The first of these routes' heads for this worker that comes after this one.
    pub(crate) fn next_for(&self, routes: &[Rx], wx: Wx, after: Key) -> Option<Key> {
        let heads = routes.iter().filter_map(|rx| self.first_for(*rx, wx));
        heads.filter(|key| *key > after).min()
    }

    /// What of this route a worker is to be probed with: the last in line that never failed, so that bad work at the
    /// front is not taken for a service that is down; else the next one.
    pub(crate) fn probe_for(&self, rx: Rx, wx: Wx) -> Option<Key> {
        let open = self.routes.get(rx)?.open.iter().rev();
        let last = open.copied().find(|key| key.is_fresh());
        last.or_else(|| self.first_for(rx, wx))
    }

    /// Whether no action of this route waits for a worker.
    pub(crate) fn is_empty(&self, rx: Rx) -> bool {
        let route = self.routes.get(rx);
        route.is_none_or(|route| route.open.is_empty() && route.heads.is_empty() && route.solo.is_empty())
    }

    /// Whether this group avoids this worker.
    pub(crate) fn avoids(&self, gx: Gx, wx: Wx) -> bool {
        self.groups
            .get(gx)
            .is_some_and(|group| group.avoid.binary_search(&wx).is_ok())
    }

    /// The waiting actions of this route that avoid a worker, in order: all of them, or those that avoid this one.
    pub(crate) fn choosy(&self, rx: Rx, wx: Option<Wx>) -> Vec<Ax> {
        let Some(route) = self.routes.get(rx) else {
            return Vec::new();
        };
        let avoids = |avoid: &[Wx]| wx.is_none_or(|wx| avoid.binary_search(&wx).is_ok());
        let groups = route.by_avoided.iter().filter(|(avoid, _)| avoids(avoid));
        let groups = groups.filter_map(|(_, gx)| self.groups.get(*gx));
        let mut keys: Vec<Key> = groups
            .flat_map(|group| group.line.iter())
            .chain(&route.solo)
            .copied()
            .collect();
        keys.sort_unstable();
        keys.into_iter().map(|key| key.ax).collect()
    }

    /// The actions of this route that avoid every worker which they could have, in order. `usable`: how many there
    /// are, `is_usable` which.
    pub(crate) fn stuck(&self, rx: Rx, usable: usize, is_usable: impl Fn(Wx) -> bool) -> Vec<Ax> {
        let mut stuck: Vec<Key> = Vec::new();
        let Some(route) = self.routes.get(rx) else {
            return Vec::new();
        };
        for (_, gx) in route.by_length.range((usable, Gx::at(0))..) {
            if let Some(group) = self.groups.get(*gx)
                && group.avoid.iter().filter(|wx| is_usable(**wx)).count() == usable
            {
                stuck.extend(group.line.iter().copied());
            }
        }
        stuck.sort_unstable();
        stuck.into_iter().map(|key| key.ax).collect()
    }

    /// Everything of this route that is not running: first those in line, in order, then those that back off.
    pub(crate) fn all(&self, rx: Rx) -> Vec<Ax> {
        let Some(route) = self.routes.get(rx) else {
            return Vec::new();
        };
        let mut keys: Vec<Key> = route.open.iter().chain(&route.solo).copied().collect();
        for gx in route.by_avoided.values() {
            keys.extend(self.groups.get(*gx).into_iter().flat_map(|group| group.line.iter()));
        }
        keys.sort_unstable();
        keys.into_iter()
            .map(|key| key.ax)
            .chain(route.resting.iter().copied())
            .collect()
    }
}
