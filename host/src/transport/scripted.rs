//! Workers that are played by a script, in virtual time: no instance, no thread, only what the rules say and when.
//!
//! Like any other worker, one takes as many attempts at once as it has slots and keeps what it is given beyond that in its hand,
//! in order; a rule is looked for when the attempt begins. All of it follows from the orders and their moments alone.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use disperse_scheduler::{AttemptId, End, Moment, WorkerId};

use super::{NewWorker, Transport, Vanished};
use crate::{
    inbox::{AttemptEnded, Job, Notice, Order, Used, Words},
    script::{Attempt, Rules, Said},
    units::{Size, Time},
};

/// The workers of a script.
#[derive(Debug)]
pub(crate) struct Scripted {
    rules: Rules,
    /// The largest result, in bytes.
    result_max: u64,
    /// By number.
    desks: Vec<Desk>,
    /// What goes on, by when it ends; of what ends at once, that which began first.
    ends: BTreeMap<(Moment, u64), Going>,
    /// How many attempts have begun.
    begun: u64,
    /// What no rule answered, the first time.
    trouble: Option<String>,
}

#[derive(Debug)]
struct Desk {
    name: Arc<str>,
    slots: usize,
    /// How many attempts go on.
    going: usize,
    hand: VecDeque<Job>,
}

/// An attempt that goes on.
#[derive(Debug)]
struct Going {
    worker: WorkerId,
    attempt: AttemptId,
    said: Said,
    /// Whether it has begun, and takes a slot.
    seated: bool,
}

impl Transport for Scripted {
    fn join(&mut self, _: WorkerId, new: NewWorker) {
        self.desks.push(Desk {
            name: new.name,
            slots: new.slots.max(1) as usize,
            going: 0,
            hand: VecDeque::new(),
        });
    }

    fn send(&mut self, now: Moment, worker: WorkerId, order: Order) -> Result<(), Vanished> {
        let desk = self.desks.get_mut(worker.0 as usize).ok_or(Vanished)?;
        match order {
            Order::Run(job) => {
                desk.hand.push_back(job);
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

    /// The attempts that have ended by now. What begins in their place has its turn the next time.
    fn take_due(&mut self, now: Moment) -> Vec<Notice> {
        let later = self.ends.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.ends, later);
        let mut ended = Vec::with_capacity(due.len());
        for going in due.into_values() {
            if let Some(desk) = self.desks.get_mut(going.worker.0 as usize).filter(|_| going.seated) {
                desk.going -= 1;
            }
            self.begin(now, going.worker);
            ended.push(Notice::AttemptEnded(told(going)));
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
    pub(crate) fn new(rules: Rules, result_max: u64) -> Self {
        Self {
            rules,
            result_max,
            desks: Vec::new(),
            ends: BTreeMap::new(),
            begun: 0,
            trouble: None,
        }
    }

    /// Begins with what is in a worker's hand, as far as it has slots.
    fn begin(&mut self, now: Moment, worker: WorkerId) {
        let Some(desk) = self.desks.get_mut(worker.0 as usize) else {
            return;
        };
        while desk.going < desk.slots
            && let Some(job) = desk.hand.pop_front()
        {
            let asked = Attempt {
                kind: &job.kind,
                payload: &job.payload,
                number: job.attempt.number,
                worker: &desk.name,
            };
            let said = match self.rules.answer(&asked) {
                Ok(said) => limited(said, &job, self.result_max),
                Err(trouble) => {
                    self.trouble.get_or_insert(trouble);
                    continue;
                }
            };
            desk.going += 1;
            self.begun += 1;
            let going = Going {
                worker,
                attempt: job.attempt,
                said,
                seated: true,
            };
            self.ends.insert((now + going.said.after, self.begun), going);
        }
    }

    /// Ends an attempt now, whether it goes on or is still in the hand.
    fn stop(&mut self, now: Moment, worker: WorkerId, attempt: AttemptId) {
        let Some(desk) = self.desks.get_mut(worker.0 as usize) else {
            return;
        };
        let place = self
            .ends
            .iter()
            .find(|(_, going)| going.attempt == attempt)
            .map(|(place, _)| *place);
        let seated = match (place, desk.hand.iter().position(|job| job.attempt == attempt)) {
            (Some(place), _) => {
                self.ends.remove(&place);
                true
            }
            (None, Some(at)) => {
                desk.hand.remove(at);
                false
            }
            // It has ended meanwhile.
            (None, None) => return,
        };
        let said = Said {
            end: End::Stopped,
            result: Bytes::new(),
            message: "was stopped".into(),
            after: std::time::Duration::ZERO,
            reports: Vec::new(),
        };
        self.begun += 1;
        let going = Going {
            worker,
            attempt,
            said,
            seated,
        };
        self.ends.insert((now, self.begun), going);
    }
}

/// What a rule says, within the limits that hold for every worker.
fn limited(said: Said, job: &Job, result_max: u64) -> Said {
    if said.after > job.timeout {
        return Said {
            end: End::Transient,
            result: Bytes::new(),
            message: format!("was not done within {}", Time::from(job.timeout)),
            after: job.timeout,
            reports: Vec::new(),
        };
    }
    if said.result.len() as u64 > result_max {
        return Said {
            end: End::Oversize,
            result: Bytes::new(),
            message: format!("returned more than {}", Size(result_max)),
            ..said
        };
    }
    said
}

fn told(going: Going) -> AttemptEnded {
    let Said {
        end,
        result,
        message,
        after,
        reports,
    } = going.said;
    AttemptEnded {
        attempt: going.attempt,
        worker: going.worker,
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
    use crate::{inbox::ActionName, script::Script};

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

    /// The actions whose attempts end at a moment, in ms, with how.
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
        let script = "[[answer]]\npayload = \"slow\"\nafter = \"1h\"\nresult = \"\"\n[[answer]]\nresult = \"long\"\nafter = \"5ms\"\n";
        let script = Script::parse(script, &|_| Ok(Bytes::new())).unwrap();
        let mut workers = Scripted::new(script.rules, 3);
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
