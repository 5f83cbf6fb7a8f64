//! What `readmit`, `drain` and `workers` change.

use disperse_scheduler::{Event, Health, PoolId, WorkerId};

use crate::{
    control::{Explained, Problem},
    driver::Driver,
    limits::WORKERS_MAX,
    report::health_with_reason,
};

impl Driver<'_> {
    pub(super) fn readmit(&mut self, name: &str) -> Result<Explained, Problem> {
        let view = self.called(name)?;
        let name = self.name(view.worker);
        if view.health == Health::Gone {
            return Err(Problem::new(format!("{name} is gone for good")));
        }
        let was = health_with_reason(view.health, self.now);
        self.tell(Event::WorkerReadmitted { worker: view.worker });
        let given = if self.draining {
            "though the run is being stopped and starts no more attempts"
        } else {
            "and is given work again"
        };
        Ok(Explained::Done {
            message: format!("{name} has a clean record {given}; it was {was}"),
        })
    }

    pub(super) fn drain_worker(&mut self, name: &str) -> Result<Explained, Problem> {
        let view = self.called(name)?;
        let name = self.name(view.worker);
        if matches!(view.health, Health::Draining | Health::Evicted(_) | Health::Gone) {
            let message = format!(
                "{name} is given nothing as it is: {}",
                health_with_reason(view.health, self.now)
            );
            return Ok(Explained::Done { message });
        }
        if self.scheduler.is_last(view.worker) && !self.draining {
            return Err(
                Problem::new(format!("{name} is the last worker for what it does")).hint(
                    "what waits for it would be given up; `readmit` another one first, or stop the run with `drain`",
                ),
            );
        }
        self.tell(Event::WorkerDrained { worker: view.worker });
        let message = format!("{name} is given nothing more; {}", let_end(view.in_flight as usize));
        Ok(Explained::Done { message })
    }

    /// Lets so many more workers join a pool.
    pub(super) fn add_workers(&mut self, pool: &str, count: u32) -> Result<Explained, Problem> {
        let known: Vec<&str> = self.pools.iter().map(|entry| entry.name.as_str()).collect();
        let Some(index) = known.iter().position(|name| *name == pool) else {
            let hint = format!("pools of this run: {}", known.join(", "));
            return Err(Problem::new(format!("there is no pool `{pool}`")).hint(hint));
        };
        if self.draining {
            return Err(Problem::new("the run is being stopped and starts no more attempts"));
        }
        let before = self.tally.worker_names().count();
        if before.saturating_add(count as usize) > WORKERS_MAX as usize {
            return Err(Problem::new(format!(
                "a run has at most {WORKERS_MAX} workers, and this one has {before}"
            )));
        }
        let mut names = Vec::new();
        for _ in 0..count {
            let id = WorkerId(u32::try_from(self.tally.worker_names().count()).unwrap_or(u32::MAX));
            let recruiter = self.pools.get_mut(index).and_then(|entry| entry.recruiter.as_mut());
            let Some(joining) = recruiter.and_then(|recruiter| recruiter.one_more(id)) else {
                return Err(
                    Problem::new(format!("each worker of the pool `{pool}` has settings of its own"))
                        .hint("more workers can join a pool that has `workers = N`, as those that are only counted"),
                );
            };
            let buckets = joining.buckets.iter().map(|setup| self.define_bucket(setup)).collect();
            names.push(joining.member.name());
            let (least, each) = self.tasks_each;
            self.tasks
                .allow(least.max(each.saturating_mul(joining.member.slots() as usize)));
            let pool = PoolId(u32::try_from(index).unwrap_or(u32::MAX));
            self.join(pool, joining.member, buckets, joining.owner);
        }
        let message = match names.as_slice() {
            [] => "no worker was asked for".to_owned(),
            [only] => format!("{only} has joined"),
            [first, .., last] => format!("{first} to {last} have joined"),
        };
        Ok(Explained::Done { message })
    }

    pub(super) fn drain_all(&mut self) -> Explained {
        let message = if self.draining {
            "the run is being stopped already".to_owned()
        } else {
            self.report.stopping();
            self.drain();
            format!(
                "the run starts no more attempts; {}",
                let_end(self.scheduler.in_flight())
            )
        };
        Explained::Done { message }
    }
}

fn let_end(attempts: usize) -> String {
    match attempts {
        0 => "none runs".to_owned(),
        1 => "the one that runs is let end".to_owned(),
        some => format!("the {some} that run are let end"),
    }
}
