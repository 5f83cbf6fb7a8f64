//! Who there is for an action that waits.

use disperse_scheduler::{Health, KindId, Moment, WorkerView};

use super::Survey;
use crate::driver::Driver;

/// The workers of some pools, counted by what they could do for an action that waits.
#[derive(Clone, Copy, Default)]
pub(super) struct Crew {
    pub(super) all: u64,
    /// Given work as it comes.
    pub(super) usable: u64,
    /// Of those, who makes as many attempts as it can.
    pub(super) at_work: u64,
    pub(super) busy: u64,
    pub(super) quarantined: u64,
    pub(super) out: u64,
}

impl Crew {
    pub(super) fn count(&mut self, view: &WorkerView) {
        self.all += 1;
        match view.health {
            Health::Busy { .. } => self.busy += 1,
            Health::Quarantined { .. } => self.quarantined += 1,
            Health::Draining | Health::Evicted(_) | Health::Gone => self.out += 1,
            _ => {
                self.usable += 1;
                self.at_work += u64::from(view.holds >= view.slots);
            }
        }
    }

    pub(super) fn and(mut self, other: &Self) -> Self {
        self.all += other.all;
        self.usable += other.usable;
        self.at_work += other.at_work;
        self.busy += other.busy;
        self.quarantined += other.quarantined;
        self.out += other.out;
        self
    }

    pub(super) fn words(&self) -> String {
        let parts = [
            (self.at_work, "at work"),
            (self.usable - self.at_work, "free or slowed down"),
            (self.busy, "busy"),
            (self.quarantined, "quarantined"),
            (self.out, "out"),
        ];
        let said: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        format!("of {} that serve its kind: {}", self.all, said.join(", "))
    }
}

/// What an action waits for.
#[derive(Clone, Copy)]
pub(super) enum WaitsFor {
    Free,
    Limit,
    Another,
    Any,
}

impl Driver<'_> {
    /// The workers that serve a kind.
    pub(super) fn crew(&self, kind: KindId, survey: &Survey) -> Crew {
        let pools = self.routes.pools(kind).iter();
        let serving = pools.filter_map(|pool| survey.crews.get(pool));
        serving.fold(Crew::default(), Crew::and)
    }
}

pub(super) fn waits_for(crew: &Crew, patience: Moment) -> WaitsFor {
    if patience != Moment::NEVER {
        WaitsFor::Another
    } else if crew.usable > 0 {
        WaitsFor::Free
    } else if crew.busy > 0 {
        WaitsFor::Limit
    } else {
        WaitsFor::Any
    }
}
