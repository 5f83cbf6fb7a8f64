//! Who gets what.
//!
//! Nothing waits while a worker that may take it has room. So when an action comes, it alone is to be placed (`find`);
//! when a worker is free, it alone is to be given something (`pull`). Neither ever looks at everybody.

use std::collections::BTreeSet;

use crate::{
    action::{Run, State},
    command::Command,
    ids::{AttemptId, Ax, Kx, Px, Rx, Wx},
    retry::Bar,
    scheduler::{Plant, Scheduler},
    worker::{Entry, Held, Pool, Rest, Room, Standing, Trust},
};

impl Scheduler {
    /// The best worker of a route that is not in `avoid` (rising): with a free slot if there is one, else to lie ready.
    /// `choosy`: one that has not failed since its last success.
    pub(crate) fn find(&self, rx: Rx, kx: Kx, avoid: &[Wx], choosy: bool) -> Option<Wx> {
        let suits = |entry: &Entry| !choosy || !self.has_failed(entry.wx);
        let route = self.queues.routes.get(rx)?;
        match route.is_wide() {
            true => self
                .first_of(&route.free, |pool| &pool.free, kx, avoid, suits)
                .or_else(|| self.first_of(&route.prefetch, |pool| &pool.prefetch, kx, avoid, suits)),
            false => self
                .best(rx, kx, avoid, |pool| &pool.free, suits)
                .or_else(|| self.best(rx, kx, avoid, |pool| &pool.prefetch, suits)),
        }
    }

    /// The best worker of these lists that suits, of a route of so many pools that not all of them are looked at: `heads` are the
    /// first of each.
    fn first_of(
        &self,
        heads: &BTreeSet<(Entry, Px)>,
        list: fn(&Pool) -> &BTreeSet<Entry>,
        kx: Kx,
        avoid: &[Wx],
        suits: impl Fn(&Entry) -> bool,
    ) -> Option<Wx> {
        if self.draining {
            return None;
        }
        let mut best: Option<&Entry> = None;
        for (head, px) in heads {
            if best.is_some_and(|best| best < head) {
                break;
            }
            if self.is_held_back(*px) {
                continue;
            }
            let may = |entry: &&Entry| {
                avoid.binary_search(&entry.wx).is_err() && self.could_pay(entry.wx, kx) && suits(entry)
            };
            let found = self.pools.get(*px).and_then(|pool| list(pool).iter().find(may));
            best = best.into_iter().chain(found).min();
        }
        best.map(|entry| entry.wx)
    }

    /// The best worker of these lists of a route's pools that is not in `avoid` (rising), can pay for it and is suitable.
    pub(crate) fn best(
        &self,
        rx: Rx,
        kx: Kx,
        avoid: &[Wx],
        list: fn(&Pool) -> &BTreeSet<Entry>,
        suits: impl Fn(&Entry) -> bool,
    ) -> Option<Wx> {
        if self.draining {
            return None;
        }
        let may =
            |entry: &&Entry| suits(entry) && avoid.binary_search(&entry.wx).is_err() && self.could_pay(entry.wx, kx);
        let pools = self.queues.routes.get(rx)?.pools.iter();
        pools
            .filter(|px| !self.is_held_back(**px))
            .filter_map(|px| list(self.pools.get(*px)?).iter().find(may))
            .min()
            .map(|entry| entry.wx)
    }

    /// Gives a worker what waits for it until it has no room or nothing waits.
    pub(crate) fn pull(&mut self, wx: Wx, out: &mut Vec<Command>) {
        if self.draining || self.planted(Plant::ForgetWorker) {
            return;
        }
        self.unreserve(wx);
        self.stop_saving(wx);
        while let Some(worker) = self.workers.get(wx) {
            if worker.listed.0 == Room::None || self.is_held_back(worker.px) {
                return;
            }
            let routes = self.pools.get(worker.px).map_or(&[][..], |pool| &pool.routes);
            let first = match self.is_systemic(worker.px) || self.seems_unfit(wx) || self.is_pressed(wx) {
                false => routes.iter().filter_map(|rx| self.queues.first_for(*rx, wx)).min(),
                true => routes.iter().filter_map(|rx| self.queues.probe_for(*rx, wx)).min(),
            };
            if self.pull_solo(wx, first, out) {
                return;
            }
            let Some(first) = first else { return self.help(wx, out) };
            if self.shun(first.ax, wx, out) || self.turns_away(first.ax, wx, out) {
                continue;
            }
            let Some(key) = self.affordable(wx, first) else {
                if self.workers.get(wx).is_some_and(|worker| !worker.saving) {
                    self.pull_solo(wx, None, out);
                }
                return;
            };
            // A cheaper one instead of the first.
            if key.ax != first.ax && (self.shun(key.ax, wx, out) || self.turns_away(key.ax, wx, out)) {
                continue;
            }
            self.leave(key.ax);
            let wx = self.better(key.ax, wx);
            self.assign(key.ax, wx, out);
        }
    }

    /// Who is to have an action that `wx` could have: somebody else who did not fail it, if there happens to be one.
    fn better(&self, ax: Ax, wx: Wx) -> Wx {
        let Some(action) = self.actions.get(ax).filter(|action| action.trials.is_some()) else {
            return wx;
        };
        let avoid = self.avoided(ax, Bar::Tried);
        match avoid.binary_search(&wx) {
            Ok(_) => self.find(action.rx, action.kx, &avoid, false).unwrap_or(wx),
            Err(_) => wx,
        }
    }

    /// Gives an action that is in no state to a worker that has room.
    pub(crate) fn assign(&mut self, ax: Ax, wx: Wx, out: &mut Vec<Command>) {
        let same_number = self.planted(Plant::SameNumber);
        let (Some(action), Some(worker)) = (self.actions.get_mut(ax), self.workers.get_mut(wx)) else {
            return;
        };
        if !same_number || action.number == 0 {
            action.number = action.number.saturating_add(1);
        }
        let run = Run {
            number: action.number,
            wx,
        };
        let is_second = match action.state {
            State::Running { first, .. } => {
                action.state = State::Running {
                    first,
                    second: Some(run),
                };
                true
            }
            _ => {
                action.state = State::Running {
                    first: run,
                    second: None,
                };
                false
            }
        };
        let attempt = AttemptId {
            action: action.id,
            number: action.number,
        };
        self.assigned += 1;
        self.held += 1;
        self.tallies.running += usize::from(!is_second);
        self.tallies.second += usize::from(is_second);
        let (px, kx, id, seq) = (worker.px, action.kx, action.id, self.assigned);
        worker.attempts.push(Held {
            attempt,
            seq: self.assigned,
        });
        worker.last_assigned = self.assigned;
        out.push(Command::Assign {
            attempt,
            worker: worker.id,
        });
        let standing = worker.standing;
        if !is_second {
            self.watch(ax, attempt);
        }
        self.probed(px);
        self.pay(wx, kx, seq);
        if let Standing::Usable {
            trust: trust @ Trust::Suspect { further },
            rest: Rest::None,
        } = standing
            && !self.is_notorious(wx, id)
        {
            let rest = self.damp(wx, Some(kx), further);
            self.stand(wx, Standing::Usable { trust, rest }, out);
        }
        self.relist(wx);
    }
}
