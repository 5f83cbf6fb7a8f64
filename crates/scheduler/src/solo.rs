//! Actions that got lost are tried alone.
//!
//! A worker that goes away takes everything with it that it was doing, and nobody can say which of that drove it away. So
//! what was lost is tried again on a worker that does nothing else meanwhile. Lost there too, and on another one again, it is
//! poison: it takes down whoever tries it.

use crate::{
    action::{Action, State},
    command::Command,
    ids::{Ax, Kx, Rx, Wx},
    queue::Key,
    retry::Bar,
    scheduler::Scheduler,
};

impl Action {
    /// Whether it is only tried on a worker that does nothing else.
    pub(crate) fn is_solo(&self) -> bool {
        self.trials.as_deref().is_some_and(|trials| trials.solo)
    }
}

impl Scheduler {
    /// Takes note that an action got lost on a worker. True: for the second time while it was the only one there.
    pub(crate) fn lost(&mut self, ax: Ax, wx: Wx) -> bool {
        self.charge(ax);
        let alone = self.workers.get(wx).is_some_and(|worker| worker.alone);
        let Some(action) = self.actions.get_mut(ax) else {
            return false;
        };
        let trials = action.trials.get_or_insert_default();
        // A second attempt beside the one that was lost before was not alone.
        if !std::mem::replace(&mut trials.solo, true) || !alone {
            return false;
        }
        match trials.lost_alone {
            Some(other) if other != wx => true,
            _ => {
                trials.lost_alone = Some(wx);
                false
            }
        }
    }

    /// Gives a solo action to a worker that has nothing, or puts it in line for one.
    pub(crate) fn queue_solo(&mut self, ax: Ax, bar: Bar, out: &mut Vec<Command>) -> bool {
        let Some(action) = self.actions.get(ax) else {
            return false;
        };
        let (rx, kx, key) = (action.rx, action.kx, action.key(ax));
        let avoid = self.avoided(ax, bar);
        if let Some(wx) = self.find_idle(rx, kx, &avoid) {
            self.assign_alone(ax, wx, out);
            return true;
        }
        if let Some(route) = self.queues.routes.get_mut(rx) {
            route.solo.insert(key);
        }
        false
    }

    fn find_idle(&self, rx: Rx, kx: Kx, avoid: &[Wx]) -> Option<Wx> {
        self.best(rx, kx, avoid, |pool| &pool.free, |entry| entry.load == 0)
    }

    fn assign_alone(&mut self, ax: Ax, wx: Wx, out: &mut Vec<Command>) {
        let rx = self.actions.get(ax).map(|action| action.rx);
        if let Some(route) = rx.and_then(|rx| self.queues.routes.get_mut(rx)) {
            route.reserved.take_if(|reserved| *reserved == wx);
        }
        if let Some(worker) = self.workers.get_mut(wx) {
            worker.alone = true;
            worker.kept = None;
        }
        self.assign(ax, wx, out);
    }

    /// Looks for a solo action that goes before `first`, when a worker has room. True: nothing else is to be given to it.
    pub(crate) fn pull_solo(&mut self, wx: Wx, first: Option<Key>, out: &mut Vec<Command>) -> bool {
        let Some(worker) = self.workers.get(wx) else {
            return true;
        };
        let load = worker.load();
        let routes = self.pools.get(worker.px).map_or(&[][..], |pool| &pool.routes);
        let mut waiting: Vec<(Key, Rx)> = routes
            .iter()
            .filter_map(|rx| Some((self.solo_for(*rx, wx)?, *rx)))
            .filter(|(key, _)| first.is_none_or(|first| *key < first))
            .collect();
        waiting.sort_unstable();
        if load == 0 {
            for (key, _) in waiting {
                if self.pays_for(wx, key.ax) {
                    self.pull_alone(wx, key, out);
                    return true;
                }
                if self.workers.get(wx).is_none_or(|worker| worker.saving) {
                    return true;
                }
            }
            return false;
        }
        let Some((_, rx)) = waiting.first().copied() else {
            return false;
        };
        // One worker is kept free for it, not all of them.
        let reserved = self.queues.routes.get(rx).and_then(|route| route.reserved);
        let is_kept = |wx| {
            let worker = self.workers.get(wx);
            worker.is_some_and(|worker| worker.kept == Some(rx) && worker.load() > 0 && worker.standing.is_usable())
        };
        if reserved.is_some_and(is_kept) {
            return false;
        }
        if let Some(route) = self.queues.routes.get_mut(rx) {
            route.reserved = Some(wx);
        }
        if let Some(worker) = self.workers.get_mut(wx) {
            worker.kept = Some(rx);
        }
        self.relist(wx);
        true
    }

    /// Gives a solo action that waits to a worker that has nothing, or to one that did not fail it, if there happens to be one.
    fn pull_alone(&mut self, wx: Wx, key: Key, out: &mut Vec<Command>) {
        let Some((rx, kx)) = self.actions.get(key.ax).map(|action| (action.rx, action.kx)) else {
            return;
        };
        self.leave(key.ax);
        let avoid = self.avoided(key.ax, Bar::Tried);
        let better = avoid
            .binary_search(&wx)
            .ok()
            .and_then(|_| self.find_idle(rx, kx, &avoid));
        self.assign_alone(key.ax, better.unwrap_or(wx), out);
        if better.is_some() {
            self.pull(wx, out);
        }
    }

    /// The first solo action of a route that does not avoid this worker.
    fn solo_for(&self, rx: Rx, wx: Wx) -> Option<Key> {
        let route = self.queues.routes.get(rx)?;
        route.solo.iter().copied().find(|key| self.solo_takes(key.ax, wx))
    }

    /// Whether a solo action that waits does not avoid this worker.
    pub(crate) fn solo_takes(&self, ax: Ax, wx: Wx) -> bool {
        match self.actions.get(ax).map(|action| action.state) {
            Some(State::Waiting { bar, .. }) => self.avoided(ax, bar).binary_search(&wx).is_err(),
            _ => false,
        }
    }

    /// Solo actions of a route that avoid every usable worker.
    pub(crate) fn stuck_solo(&self, rx: Rx) -> Vec<Ax> {
        let Some(route) = self.queues.routes.get(rx).filter(|route| !route.solo.is_empty()) else {
            return Vec::new();
        };
        let usable = self.usable(rx);
        let is_stuck = |key: &&Key| match self.actions.get(key.ax).map(|action| action.state) {
            Some(State::Waiting { bar, .. }) => {
                let avoid = self.avoided(key.ax, bar);
                avoid.iter().filter(|wx| self.is_usable(**wx)).count() >= usable
            }
            _ => false,
        };
        route.solo.iter().filter(is_stuck).map(|key| key.ax).collect()
    }

    /// Takes a solo action out of line. Nobody is kept free for those that are not there.
    pub(crate) fn leave_solo(&mut self, rx: Rx, key: Key) {
        let Some(route) = self.queues.routes.get_mut(rx) else {
            return;
        };
        if !route.solo.remove(&key) || !route.solo.is_empty() {
            return;
        }
        if let Some(wx) = route.reserved.take()
            && let Some(worker) = self.workers.get_mut(wx)
            && worker.kept.take_if(|kept| *kept == rx).is_some()
        {
            self.stirred.push(wx);
        }
    }

    /// A worker has nothing: it is not kept free any more. Its solo action, if there still is one, is next.
    pub(crate) fn unreserve(&mut self, wx: Wx) {
        let Some(worker) = self.workers.get_mut(wx) else { return };
        if worker.load() == 0 {
            worker.alone = false;
            worker.kept = None;
        }
    }
}
