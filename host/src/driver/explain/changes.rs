//! What `readmit` and `drain` change.

use disperse_scheduler::{Event, Health};

use crate::{
    control::{Explained, Problem},
    driver::Driver,
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
        let message = format!("{name} is given nothing more; {}", let_end(view.holds as usize));
        Ok(Explained::Done { message })
    }

    pub(super) fn drain_all(&mut self) -> Explained {
        let message = if self.draining {
            "the run is being stopped already".to_owned()
        } else {
            self.report.stopping();
            self.drain();
            format!("the run starts no more attempts; {}", let_end(self.scheduler.held()))
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
