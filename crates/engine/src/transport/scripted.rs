//! Workers that a script simulates, in virtual time: no instance and no thread, only the answers of its rules and their
//! times.
//!
//! Like any other worker, one makes as many attempts at once as it has slots and queues the others, in order; a rule is
//! selected when the attempt begins. All of it depends only on the orders and their times.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use disperse_scheduler::{AttemptId, End, Moment, WorkerId};

use super::{NewWorker, Transport, Vanished};
use crate::script::{Attempt, Rules, ScriptedEnd};
use disperse_protocol::{
    inbox::{AttemptEnded, Job, Notice, Order, Used, Words},
    units::{Size, Time},
};

/// The workers of a script.
#[derive(Debug)]
pub struct Scripted {
    rules: Rules,
    /// The largest result, in bytes.
    result_max: u64,
    /// By number.
    queues: Vec<WorkerQueue>,
    /// Running attempts by the time they end; at the same time, by the order in which they began.
    ends: BTreeMap<(Moment, u64), Running>,
    /// How many attempts have begun.
    begun: u64,
    /// The first attempt that no rule answered, as an error text.
    trouble: Option<String>,
}

#[derive(Debug)]
struct WorkerQueue {
    name: Arc<str>,
    slots: usize,
    /// How many attempts run.
    running: usize,
    waiting: VecDeque<Job>,
}

/// A running attempt.
#[derive(Debug)]
struct Running {
    worker: WorkerId,
    attempt: AttemptId,
    scripted: ScriptedEnd,
    /// Whether it has begun, and takes a slot.
    has_slot: bool,
}

impl Transport for Scripted {
    fn join(&mut self, _: WorkerId, new: NewWorker) {
        self.queues.push(WorkerQueue {
            name: new.name,
            slots: new.slots.max(1) as usize,
            running: 0,
            waiting: VecDeque::new(),
        });
    }

    fn send(&mut self, now: Moment, worker: WorkerId, order: Order) -> Result<(), Vanished> {
        let queue = self.queues.get_mut(worker.0 as usize).ok_or(Vanished)?;
        match order {
            Order::Run(job) => {
                queue.waiting.push_back(job);
                self.begin(now, worker);
            }
            Order::Stop(attempt) => self.stop(now, worker, attempt),
        }
        Ok(())
    }

    /// No worker of a script leaves before the end.
    fn leave(&mut self, _: WorkerId) {}

    fn next_moment(&self) -> Option<Moment> {
        self.ends.first_key_value().map(|((moment, _), _)| *moment)
    }

    /// The attempts that have ended by now. Those that begin in their place come with the next call.
    fn take_due(&mut self, now: Moment) -> Vec<Notice> {
        let later = self.ends.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.ends, later);
        let mut ended = Vec::with_capacity(due.len());
        for running in due.into_values() {
            if let Some(queue) = self
                .queues
                .get_mut(running.worker.0 as usize)
                .filter(|_| running.has_slot)
            {
                queue.running -= 1;
            }
            self.begin(now, running.worker);
            ended.push(Notice::AttemptEnded(attempt_ended(running)));
        }
        ended
    }

    /// Why the script does not fit, if it does not.
    fn take_trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }
}

impl Scripted {
    /// No worker yet. `result_max`: the largest result, in bytes.
    pub fn new(rules: Rules, result_max: u64) -> Self {
        Self {
            rules,
            result_max,
            queues: Vec::new(),
            ends: BTreeMap::new(),
            begun: 0,
            trouble: None,
        }
    }

    /// Begins queued attempts of a worker while it has free slots.
    fn begin(&mut self, now: Moment, worker: WorkerId) {
        let Some(queue) = self.queues.get_mut(worker.0 as usize) else {
            return;
        };
        while queue.running < queue.slots
            && let Some(job) = queue.waiting.pop_front()
        {
            let asked = Attempt {
                kind: &job.kind,
                payload: &job.payload,
                number: job.attempt.number,
                worker: &queue.name,
            };
            let scripted = match self.rules.answer(&asked) {
                Ok(scripted) => limited(scripted, &job, self.result_max),
                Err(trouble) => {
                    self.trouble.get_or_insert(trouble);
                    continue;
                }
            };
            queue.running += 1;
            self.begun += 1;
            let running = Running {
                worker,
                attempt: job.attempt,
                scripted,
                has_slot: true,
            };
            self.ends.insert((now + running.scripted.after, self.begun), running);
        }
    }

    /// Stops an attempt now, whether it runs or is queued.
    fn stop(&mut self, now: Moment, worker: WorkerId, attempt: AttemptId) {
        let Some(queue) = self.queues.get_mut(worker.0 as usize) else {
            return;
        };
        let place = self
            .ends
            .iter()
            .find(|(_, running)| running.attempt == attempt)
            .map(|(place, _)| *place);
        let has_slot = match (place, queue.waiting.iter().position(|job| job.attempt == attempt)) {
            (Some(place), _) => {
                self.ends.remove(&place);
                true
            }
            (None, Some(at)) => {
                queue.waiting.remove(at);
                false
            }
            // It has ended meanwhile.
            (None, None) => return,
        };
        let scripted = ScriptedEnd {
            end: End::Stopped,
            result: Bytes::new(),
            message: "was stopped".into(),
            after: std::time::Duration::ZERO,
            reports: Vec::new(),
        };
        self.begun += 1;
        let running = Running {
            worker,
            attempt,
            scripted,
            has_slot,
        };
        self.ends.insert((now, self.begun), running);
    }
}

/// The end of an attempt by a rule, within the limits that hold for every worker.
fn limited(scripted: ScriptedEnd, job: &Job, result_max: u64) -> ScriptedEnd {
    if scripted.after > job.timeout {
        return ScriptedEnd {
            end: End::Transient,
            result: Bytes::new(),
            message: format!("was not done within {}", Time::from(job.timeout)),
            after: job.timeout,
            reports: Vec::new(),
        };
    }
    if scripted.result.len() as u64 > result_max {
        return ScriptedEnd {
            end: End::Oversize,
            result: Bytes::new(),
            message: format!("returned more than {}", Size(result_max)),
            ..scripted
        };
    }
    scripted
}

fn attempt_ended(running: Running) -> AttemptEnded {
    let ScriptedEnd {
        end,
        result,
        message,
        after,
        reports,
    } = running.scripted;
    AttemptEnded {
        attempt: running.attempt,
        worker: running.worker,
        end,
        result,
        words: (end != End::Ok).then(|| {
            Box::new(Words {
                message,
                ..Words::default()
            })
        }),
        used: Used {
            wall: after,
            ..Used::default()
        },
        denied: None,
        reports: (!reports.is_empty()).then(|| reports.into_boxed_slice()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use disperse_scheduler::{ActionId, TaskId};

    use super::*;
    use crate::script::{Ending, Payload, Rule, Rules, When};
    use disperse_protocol::inbox::ActionName;

    fn job(action: u64, payload: &'static str) -> Order {
        Order::Run(Job {
            attempt: attempt(action),
            action: ActionName {
                task: TaskId(1),
                request: 1,
            },
            kind: "k".into(),
            payload: payload.into(),
            fuel: 1,
            timeout: Duration::from_secs(30),
        })
    }

    fn attempt(action: u64) -> AttemptId {
        AttemptId {
            action: ActionId(action),
            number: 1,
        }
    }

    /// The actions whose attempts end at a moment, in ms, with their ends.
    fn due(workers: &mut Scripted, ms: u64) -> Vec<(u64, End)> {
        let due = workers.take_due(Moment::from_millis(ms)).into_iter();
        let ended = |notice| match notice {
            Notice::AttemptEnded(ended) => (ended.attempt.action.0, ended.end),
            other => panic!("{other:?}"),
        };
        due.map(ended).collect()
    }

    #[test]
    fn slots_are_filled_in_order_and_limits_hold() {
        let rule = |line, payload: Option<Payload>, after, result: &'static str| Rule {
            line,
            when: When {
                payload: payload.into_iter().collect(),
                ..When::default()
            },
            left: None,
            after,
            ending: Ending::Result(result.into()),
            reports: Vec::new(),
        };
        let slow = Some(Payload::Is("slow".into()));
        let rules = Rules::new(vec![
            rule(1, slow, Duration::from_secs(3600), ""),
            rule(5, None, Duration::from_millis(5), "long"),
        ]);
        let mut workers = Scripted::new(rules, 3);
        let new = NewWorker {
            name: "w".into(),
            slots: 1,
            owner: None,
            life: None,
        };
        let worker = WorkerId(0);
        workers.join(worker, new);
        for (action, payload) in [(1, "slow"), (2, "a"), (3, "b")] {
            assert_eq!(workers.send(Moment::START, worker, job(action, payload)), Ok(()));
        }
        assert_eq!(workers.send(Moment::START, WorkerId(1), job(4, "")), Err(Vanished));
        assert_eq!(workers.send(Moment::START, worker, Order::Stop(attempt(2))), Ok(()));
        assert_eq!(workers.next_moment(), Some(Moment::START));
        assert_eq!(due(&mut workers, 0), [(2, End::Stopped)]);
        assert_eq!(workers.next_moment(), Some(Moment::from_millis(30_000)));
        assert_eq!(due(&mut workers, 30_000), [(1, End::Transient)]);
        assert_eq!(due(&mut workers, 30_005), [(3, End::Oversize)]);
        assert_eq!((workers.next_moment(), workers.take_trouble()), (None, None));
    }
}
