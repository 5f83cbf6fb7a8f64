//! The way of a task's answers, and the gate in it while a run is rehearsed.
//!
//! Which answers a task sees together decides its path. In a run it sees those that happen to have come; where the same must
//! happen every time, they wait behind a *gate* until the driver has sent all that belong together. Whoever then waits with
//! nothing behind an open gate is **at rest**: it does nothing more until the gate is opened again, and says so once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures::task::AtomicWaker;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Answer;

/// A way for the answers of one task. `gated`: they are seen only after [`Answers::release`].
pub(crate) fn answers(gated: bool) -> (Answers, Arrivals) {
    let (to_task, from_driver) = unbounded_channel();
    let gate = gated.then(Arc::<Gate>::default);
    let answers = Answers {
        to: To::Guest(to_task),
        gate: gate.clone().map(|gate| Sent {
            gate,
            sent: 0,
            released: None,
        }),
    };
    let arrivals = Arrivals {
        from_driver,
        gate: gate.map(|gate| Taken {
            gate,
            taken: 0,
            told: None,
        }),
    };
    (answers, arrivals)
}

/// What both ends of a gated way have in common.
#[derive(Debug, Default)]
struct Gate {
    /// How many answers may have been seen.
    open_to: AtomicU64,
    task: AtomicWaker,
}

/// The driver's end. Whoever still waits for an answer when it is dropped gets none.
pub(crate) struct Answers {
    to: To,
    gate: Option<Sent>,
}

/// Where answers go.
enum To {
    /// To a guest, which takes them when it can do nothing else.
    Guest(UnboundedSender<Answer>),
    /// To whoever asked, wherever in a program that is.
    Asker(Box<dyn FnMut(Answer) + Send>),
}

#[derive(Debug)]
struct Sent {
    gate: Arc<Gate>,
    sent: u64,
    /// None until the task was first heard of.
    released: Option<u64>,
}

impl Answers {
    /// Hands each answer over at once; there is no gate. `hand` is called by the driver and must not wait.
    pub(crate) fn handed(hand: impl FnMut(Answer) + Send + 'static) -> Self {
        Self {
            to: To::Asker(Box::new(hand)),
            gate: None,
        }
    }

    /// Sends one. A task that is just ending has dropped its end.
    pub(crate) fn send(&mut self, answer: Answer) {
        if let Some(gate) = &mut self.gate {
            gate.sent += 1;
        }
        match &mut self.to {
            To::Guest(to_task) => {
                let _ = to_task.send(answer);
            }
            To::Asker(hand) => hand(answer),
        }
    }

    /// Lets the task see, at once, all that was sent. Says how many it will have taken when it is at rest again; none if it has
    /// nothing new to do, which a task that has just been started has.
    pub(crate) fn release(&mut self) -> Option<u64> {
        let gate = self.gate.as_mut().filter(|gate| gate.released != Some(gate.sent))?;
        gate.released = Some(gate.sent);
        gate.gate.open_to.store(gate.sent, Ordering::Release);
        gate.gate.task.wake();
        gate.released
    }
}

/// The task's end.
#[derive(Debug)]
pub(crate) struct Arrivals {
    from_driver: UnboundedReceiver<Answer>,
    gate: Option<Taken>,
}

#[derive(Debug)]
struct Taken {
    gate: Arc<Gate>,
    taken: u64,
    /// With how many taken it has said that it is at rest.
    told: Option<u64>,
}

impl Arrivals {
    /// Takes those that may be seen, but not more than `max`. None taken: there will be none.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, batch: &mut Vec<Answer>, max: usize) -> Poll<usize> {
        let Some(gate) = &mut self.gate else {
            return self.from_driver.poll_recv_many(cx, batch, max);
        };
        // Registered before the look, so that an opening in between is not missed.
        gate.gate.task.register(cx.waker());
        let due = gate.gate.open_to.load(Ordering::Acquire) - gate.taken;
        if due == 0 {
            return Poll::Pending;
        }
        let max = max.min(usize::try_from(due).unwrap_or(max));
        let polled = self.from_driver.poll_recv_many(cx, batch, max);
        if let Poll::Ready(count) = polled {
            gate.taken += count as u64;
        }
        polled
    }

    /// Whether a task that waits here is at rest, and was not the last time this was asked: how many answers it has taken.
    pub(super) fn rests(&mut self) -> Option<u64> {
        let gate = self.gate.as_mut()?;
        let is_over = gate.told == Some(gate.taken) || gate.gate.open_to.load(Ordering::Acquire) != gate.taken;
        (!is_over).then(|| {
            gate.told = Some(gate.taken);
            gate.taken
        })
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use bytes::Bytes;

    use super::*;

    fn answer(number: u32) -> Answer {
        Answer {
            number,
            value: Ok(Bytes::new()),
            at_ms: 0,
            room: None,
        }
    }

    #[test]
    fn what_belongs_together_is_seen_together_and_rest_is_said_once() {
        let (mut answers, mut arrivals) = answers(true);
        let mut batch = Vec::new();
        let mut take = |arrivals: &mut Arrivals| {
            let polled = arrivals.poll(&mut Context::from_waker(Waker::noop()), &mut batch, 10);
            let rests = polled.is_pending().then(|| arrivals.rests()).flatten();
            (polled, rests)
        };
        assert_eq!(take(&mut arrivals), (Poll::Pending, Some(0)));
        assert_eq!(take(&mut arrivals), (Poll::Pending, None));
        assert_eq!((answers.release(), answers.release()), (Some(0), None));
        answers.send(answer(1));
        answers.send(answer(2));
        assert_eq!(take(&mut arrivals), (Poll::Pending, None));
        assert_eq!(answers.release(), Some(2));
        assert_eq!(take(&mut arrivals).0, Poll::Ready(2));
        assert_eq!(take(&mut arrivals), (Poll::Pending, Some(2)));
    }

    #[test]
    fn without_a_gate_nothing_waits_and_nobody_is_told() {
        let (mut answers, mut arrivals) = answers(false);
        answers.send(answer(1));
        let mut batch = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(arrivals.poll(&mut cx, &mut batch, 10), Poll::Ready(1));
        assert_eq!(arrivals.poll(&mut cx, &mut batch, 10), Poll::Pending);
        assert_eq!((arrivals.rests(), answers.release()), (None, None));
    }
}
