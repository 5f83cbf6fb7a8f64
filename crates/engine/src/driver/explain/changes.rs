//! What `readmit`, `drain` and `workers` change.

use disperse_scheduler::{Event, Health, PoolId};

use crate::driver::{Driver, PoolWorker};
use disperse_protocol::{
    control::{Change, Problem},
    inbox::{HostNotice, RunEvent},
    limits::WORKERS_MAX,
};

impl Driver<'_> {
    pub(super) fn readmit(&mut self, name: &str) -> Result<Change, Problem> {
        let view = self.called(name)?;
        let name = self.name(view.worker);
        if view.health == Health::Gone {
            return Err(Problem::new(format!("{name} is gone for good")));
        }
        self.checkpoints.note_change(view.worker);
        self.tell(Event::WorkerReadmitted { worker: view.worker });
        Ok(Change::Readmitted {
            worker: name,
            was: view.health.into(),
            stopping: self.draining,
        })
    }

    pub(super) fn drain_worker(&mut self, name: &str) -> Result<Change, Problem> {
        let view = self.called(name)?;
        let name = self.name(view.worker);
        if matches!(view.health, Health::Draining | Health::Evicted(_) | Health::Gone) {
            return Ok(Change::AlreadyOut {
                worker: name,
                health: view.health.into(),
            });
        }
        if self.scheduler.is_last(view.worker) && !self.draining {
            return Err(
                Problem::new(format!("{name} is the last worker for what it does")).hint(
                    "what waits for it would be given up; `readmit` another one first, or stop the run with `drain`",
                ),
            );
        }
        self.tell(Event::WorkerDrained { worker: view.worker });
        Ok(Change::WorkerDraining {
            worker: name,
            running: u64::from(view.in_flight),
        })
    }

    /// Lets so many more workers join a pool.
    pub(in crate::driver) fn add_workers(&mut self, pool: &str, count: u32) -> Result<Change, Problem> {
        let known: Vec<&str> = self.registry.pools().map(|pool| &*pool.name).collect();
        let Some(index) = known.iter().position(|name| *name == pool) else {
            let hint = format!("pools of this run: {}", known.join(", "));
            return Err(Problem::new(format!("there is no pool `{pool}`")).hint(hint));
        };
        if self.draining {
            return Err(Problem::new("the run is being stopped and starts no more attempts"));
        }
        let number = PoolId(u32::try_from(index).unwrap_or(u32::MAX));
        let before = self.registry.next_worker().0;
        if before.saturating_add(count) > WORKERS_MAX {
            return Err(Problem::new(format!(
                "a run has at most {WORKERS_MAX} workers, and this one has {before}"
            )));
        }
        let mut names: Option<(String, String)> = None;
        for _ in 0..count {
            let id = self.registry.next_worker();
            let recruiter = self.registry.pool_mut(number).and_then(|pool| pool.recruiter.as_mut());
            let Some(joining) = recruiter.and_then(|recruiter| recruiter.one_more(id)) else {
                return Err(
                    Problem::new(format!("each worker of the pool `{pool}` has settings of its own"))
                        .hint("more workers can join a pool that has `workers = N`, as those that are only counted"),
                );
            };
            let buckets = joining.buckets.iter().map(|setup| self.define_bucket(setup)).collect();
            let worker = joining.worker;
            let name = worker.name.to_string();
            let (least, each) = self.tasks_each;
            self.tasks.allow(least.max(each.saturating_mul(worker.slots as usize)));
            let event = RunEvent::WorkerJoined {
                worker: name.clone(),
                pool: pool.to_owned(),
            };
            self.emit(event);
            self.join(number, PoolWorker { worker, buckets });
            names = Some((names.map_or_else(|| name.clone(), |(first, _)| first), name));
        }
        Ok(Change::Joined { names })
    }

    pub(super) fn drain_all(&mut self) -> Change {
        if self.draining {
            return Change::AlreadyStopping;
        }
        self.emit(RunEvent::Notice(HostNotice::Stopping));
        self.drain();
        Change::Stopping {
            running: self.scheduler.in_flight() as u64,
        }
    }
}
