//! One event of each kind, for the tests of sinks. An event that is added makes `index` fail to compile, and then
//! `samples_have_every_event` fail until it is here; so no sink is left without a row for it.

use std::time::Duration;

use crate::{
    inbox::{
        ActionDone, ActionFailed, AttemptFailed, AttemptNumber, Dissent, FailureClass, FailureReason, Guard,
        HealthState, HostNotice, Numbered, OutputPiece, Progress, RunEvent,
    },
    logger::Level,
};

/// How many kinds of events there are.
pub const EVENTS: usize = 17;

/// The place of an event in [`samples`].
#[cfg(test)]
fn index(event: &RunEvent) -> usize {
    match event {
        RunEvent::Started { .. } => 0,
        RunEvent::Output { .. } => 1,
        RunEvent::TaskEnded { .. } => 2,
        RunEvent::AttemptFailed(_) => 3,
        RunEvent::Hedged { .. } => 4,
        RunEvent::Outvoted { .. } => 5,
        RunEvent::ActionFailed(_) => 6,
        RunEvent::HealthChanged { .. } => 7,
        RunEvent::Barred { .. } => 8,
        RunEvent::Systemic { .. } => 9,
        RunEvent::Denied { .. } => 10,
        RunEvent::Log { .. } => 11,
        RunEvent::Notice(_) => 12,
        RunEvent::WorkerJoined { .. } => 13,
        RunEvent::WorkerLeft { .. } => 14,
        RunEvent::Progress(_) => 15,
        RunEvent::Finished(_) => 16,
    }
}

/// One event of each kind all in one run, the first at 1,000 ms.
pub fn samples() -> Vec<Numbered> {
    let attempt = AttemptNumber { action: 7, number: 2 };
    let (worker, kind, pool) = (|| "w/1".to_owned(), || "k".to_owned(), || "w".to_owned());
    let events = vec![
        RunEvent::Started { run: "r".into() },
        RunEvent::Output {
            task: Some(3),
            action: Some(ActionDone {
                action: 7,
                worker: "w/1".into(),
                attempts: 2,
                wall: Duration::from_micros(2500),
            }),
            bytes: 5,
        },
        RunEvent::TaskEnded {
            task: 3,
            error: Some("it broke".into()),
            fuel: 9,
            wall: Duration::from_micros(1500),
        },
        RunEvent::AttemptFailed(Box::new(AttemptFailed {
            attempt,
            worker: worker(),
            kind: kind(),
            class: FailureClass::WorkerFault,
            message: "it cannot".into(),
            stderr: "because\n".into(),
            is_symptom: false,
            fuel: 9,
            wall: Duration::from_millis(2),
        })),
        RunEvent::Hedged { attempt, kind: kind() },
        RunEvent::Outvoted {
            attempt,
            worker: worker(),
            dissent: Dissent::Result { own: 10, others: 4200 },
        },
        RunEvent::ActionFailed(Box::new(ActionFailed {
            action: 7,
            task: 3,
            kind: kind(),
            reason: FailureReason::Exhausted,
            message: "2 attempts failed".into(),
        })),
        RunEvent::HealthChanged {
            worker: worker(),
            health: HealthState::Quarantined {
                until_ms: 31_007,
                round: 1,
            },
        },
        RunEvent::Barred {
            worker: worker(),
            kind: kind(),
            until_ms: Some(61_008),
        },
        RunEvent::Systemic { pool: pool(), on: true },
        RunEvent::Denied {
            worker: worker(),
            message: "http to example.org".into(),
        },
        RunEvent::Log {
            source: Some("w/1#7.2".into()),
            level: Level::Warning,
            text: "hello".into(),
        },
        RunEvent::Notice(HostNotice::Stopping),
        RunEvent::WorkerJoined {
            worker: worker(),
            pool: pool(),
        },
        RunEvent::WorkerLeft { worker: worker() },
        RunEvent::Progress(Box::new(Progress {
            elapsed: Duration::from_secs(10),
            ..Progress::default()
        })),
        RunEvent::Finished(Box::default()),
    ];
    let numbered = (1..).zip(events).map(|(seq, event)| Numbered {
        seq,
        at_ms: 999 + seq,
        event,
    });
    numbered.collect()
}

/// The bytes of the output among the samples.
pub fn output(event: &RunEvent) -> Option<OutputPiece> {
    matches!(event, RunEvent::Output { .. }).then(|| OutputPiece {
        bytes: "five\n".into(),
        origin: None,
        room: Guard::None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_every_event() {
        let places: Vec<usize> = samples().iter().map(|numbered| index(&numbered.event)).collect();
        assert_eq!(places, (0..EVENTS).collect::<Vec<_>>());
    }

    #[test]
    fn events_survive_serde() {
        for numbered in samples() {
            let text = serde_json::to_string(&numbered).unwrap();
            assert_eq!(serde_json::from_str::<Numbered>(&text).unwrap(), numbered, "{text}");
        }
    }
}
