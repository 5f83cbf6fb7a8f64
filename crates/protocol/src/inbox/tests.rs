//! Every message survives serde, in a format that describes itself and in one that does not.

use std::{fmt::Debug, time::Duration};

use bolero::check;
use bytes::Bytes;
use disperse_scheduler::{ActionId, AttemptId, End, Reason, TaskId, WorkerId};
use serde::{Serialize, de::DeserializeOwned};

use super::*;

/// Makes messages of random bytes, one part after another; with none left all is zero and empty.
struct Draw<'a>(&'a [u8]);

impl Draw<'_> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or_default()
    }

    fn number(&mut self) -> u64 {
        let byte = self.byte();
        match byte {
            // The ends of the range, and what lies between.
            254 => u64::MAX,
            255 => u64::from(u32::MAX),
            _ => u64::from(byte) << (self.byte() % 57),
        }
    }

    fn small(&mut self) -> u32 {
        self.number() as u32
    }

    fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    fn bytes(&mut self) -> Bytes {
        let count = usize::from(self.byte() % 32);
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        Bytes::copy_from_slice(taken)
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn duration(&mut self) -> Duration {
        Duration::from_nanos(self.number())
    }

    fn option<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| make(self))
    }

    fn outcome(&mut self) -> Result<Bytes, String> {
        if self.flag() {
            Ok(self.bytes())
        } else {
            Err(self.text())
        }
    }

    fn task(&mut self) -> TaskId {
        TaskId(self.number())
    }

    fn attempt(&mut self) -> AttemptId {
        AttemptId {
            action: ActionId(self.number()),
            number: self.small(),
        }
    }

    fn end(&mut self) -> End {
        let ends = [
            End::Ok,
            End::Vote { ballot: self.small() },
            End::Busy { wait: self.duration() },
            End::Permanent,
            End::Oversize,
            End::Transient,
            End::Trap {
                fingerprint: self.number(),
            },
            End::Stopped,
        ];
        ends[usize::from(self.byte()) % ends.len()]
    }

    fn reason(&mut self) -> Reason {
        Reason::ALL[usize::from(self.byte()) % Reason::ALL.len()]
    }

    fn used(&mut self) -> Used {
        Used {
            fuel: self.number(),
            wall: self.duration(),
            memory: self.number(),
        }
    }

    fn request(&mut self) -> Request {
        let ask = match self.byte() % 4 {
            0 => Ask::Action(
                Action {
                    kind: self.text().into(),
                    payload: self.bytes(),
                },
                Options {
                    priority: self.small() as i32,
                    timeout: self.duration(),
                    deadline: self.duration(),
                    fuel: self.number(),
                    attempts: self.small(),
                    idempotent: self.flag(),
                },
            ),
            1 => Ask::Oversize {
                kind: self.text().into(),
                message: self.text(),
            },
            2 => Ask::Sleep(self.duration()),
            _ => Ask::Cancel,
        };
        Request {
            task: self.task(),
            number: self.small(),
            asked_ms: self.number(),
            ask,
        }
    }

    fn delivery(&mut self) -> Delivery {
        let count = self.byte() % 4;
        let answer = |draw: &mut Self| Answer {
            number: draw.small(),
            value: match draw.flag() {
                true => Ok(draw.bytes()),
                false => Err(Refusal {
                    reason: draw.reason(),
                    message: draw.text(),
                }),
            },
        };
        Delivery {
            number: self.small(),
            now_ms: self.number(),
            answers: (0..count).map(|_| answer(self)).collect(),
        }
    }

    fn order(&mut self) -> Order {
        if self.flag() {
            return Order::Stop(self.attempt());
        }
        Order::Run(Job {
            attempt: self.attempt(),
            action: ActionName {
                task: self.task(),
                request: self.small(),
            },
            kind: self.text().into(),
            payload: self.bytes(),
            fuel: self.number(),
            timeout: self.duration(),
        })
    }

    fn ended(&mut self) -> AttemptEnded {
        AttemptEnded {
            attempt: self.attempt(),
            worker: WorkerId(self.small()),
            end: self.end(),
            result: self.bytes(),
            words: self.option(|draw| {
                Box::new(Words {
                    message: draw.text(),
                    stderr: draw.text(),
                    is_symptom: draw.flag(),
                })
            }),
            used: self.used(),
            denied: self.option(|draw| {
                Box::new(Denied {
                    count: draw.number(),
                    what: (0..draw.byte() % 4).map(|_| draw.text()).collect(),
                })
            }),
            reports: self.option(|draw| {
                let reported = |_| Reported {
                    bucket: draw.text().into(),
                    remaining: draw.small(),
                    resets: draw.duration(),
                };
                (0..2).map(reported).collect()
            }),
        }
    }

    fn task_end(&mut self) -> TaskEnd {
        TaskEnd {
            outcome: self.outcome(),
            is_of_machine: self.flag(),
            used: self.used(),
        }
    }

    fn performed(&mut self) -> Performed {
        Performed {
            action: ActionId(self.number()),
            worker: WorkerId(self.small()),
            attempts: self.small(),
            wall: self.duration(),
        }
    }

    fn call(&mut self) -> PlannerCall {
        match self.byte() % 4 {
            0 => PlannerCall::Next(self.small()),
            1 => PlannerCall::Collect {
                task: self.task(),
                input: self.bytes(),
                outcome: self.outcome(),
                performed: self.option(Self::performed),
            },
            2 => PlannerCall::Release,
            _ => PlannerCall::Finish,
        }
    }

    fn step(&mut self) -> PlannerStep {
        match self.byte() % 3 {
            0 => PlannerStep::Next,
            1 => PlannerStep::Collect(self.task()),
            _ => PlannerStep::Finish,
        }
    }

    fn planner_notice(&mut self) -> PlannerNotice {
        match self.byte() % 9 {
            0 => PlannerNotice::Handed(self.bytes()),
            1 => PlannerNotice::Paused { none: self.flag() },
            2 => PlannerNotice::Total(self.number()),
            3 => PlannerNotice::Collected,
            4 => PlannerNotice::Finished(self.outcome().map(drop)),
            5 => PlannerNotice::Output {
                origin: self.option(|draw| Origin {
                    task: draw.task(),
                    performed: draw.option(Self::performed),
                }),
                bytes: self.bytes(),
            },
            6 => PlannerNotice::Begun {
                step: self.step(),
                now_ms: self.number(),
            },
            7 => PlannerNotice::FailedLines(self.bytes()),
            _ => PlannerNotice::Failed(self.text()),
        }
    }
}

fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(message: &T) {
    let text = serde_json::to_string(message).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), message, "{text}");
    let config = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(message, config).unwrap();
    let (read, used): (T, usize) = bincode::serde::decode_from_slice(&bytes, config).unwrap();
    assert_eq!((&read, used), (message, bytes.len()));
}

#[test]
fn messages_survive_serde() {
    check!()
        .with_type::<Vec<u8>>()
        .with_test_time(Duration::from_secs(2))
        .with_iterations(usize::MAX)
        .for_each(|bytes: &Vec<u8>| {
            let mut draw = Draw(bytes);
            match draw.byte() % 7 {
                0 => survives(&draw.request()),
                1 => survives(&draw.delivery()),
                2 => survives(&draw.order()),
                3 => survives(&draw.ended()),
                4 => survives(&draw.task_end()),
                5 => survives(&draw.call()),
                _ => survives(&draw.planner_notice()),
            }
        });
}
