//! One event of each kind, for the tests of sinks. An event that is added makes `index` fail to compile, and then
//! `samples_have_every_event` fail until it is here; so no sink is left without a row for it.

use std::time::Duration;

use super::{
    Reporter,
    library::{Treatment, treatment},
    lines::Line,
    text::TextSettings,
    text_format::{Shown, TextFormat},
};
use crate::{
    inbox::{
        ActionFailed, AttemptFailed, AttemptNumber, Dissent, FailureClass, FailureReason, Guard, HealthState,
        HostNotice, Numbered, OutputPiece, Progress, RunEvent, RunSummary,
    },
    logger::Level,
};

/// How many kinds of events there are.
pub(crate) const EVENTS: usize = 17;

/// The place of an event in [`samples`].
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

/// One event of each kind in the order of [`index`], all in one run, the first at 1,000 ms.
pub(crate) fn samples() -> Vec<Numbered> {
    let attempt = AttemptNumber { action: 7, number: 2 };
    let (worker, kind, pool) = (|| "w/1".to_owned(), || "k".to_owned(), || "w".to_owned());
    let events = vec![
        RunEvent::Started { run: "r".into() },
        RunEvent::Output {
            task: Some(3),
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
pub(crate) fn output(event: &RunEvent) -> Option<OutputPiece> {
    matches!(event, RunEvent::Output { .. }).then(|| OutputPiece {
        bytes: "five\n".into(),
        task: None,
        room: Guard::None,
    })
}

#[test]
fn samples_have_every_event() {
    let places: Vec<usize> = samples().iter().map(|numbered| index(&numbered.event)).collect();
    assert_eq!(places, (0..EVENTS).collect::<Vec<_>>());
}

#[test]
fn all_sinks_have_the_same_events_of_a_run() {
    let mut text = TextFormat::new(TextSettings {
        verbose: true,
        ..TextSettings::default()
    });
    for numbered in samples() {
        let event = &numbered.event;
        // Results are written as they are.
        let in_text = text.shown(&numbered) != Shown::Nothing || matches!(event, RunEvent::Output { .. });
        let in_json = Line::of(&numbered, None).is_some();
        let in_library = treatment(event) != Treatment::Elsewhere;
        let expected = match event {
            // Programs ask for it, and readers of lines count ends of tasks.
            RunEvent::Progress(_) => (true, false, false),
            // Programs get it from `finish`.
            RunEvent::Finished(_) => (true, true, false),
            _ => (true, true, true),
        };
        assert_eq!((in_text, in_json, in_library), expected, "{numbered:?}");
    }
}

#[test]
fn events_survive_serde() {
    for numbered in samples() {
        let text = serde_json::to_string(&numbered).unwrap();
        assert_eq!(serde_json::from_str::<Numbered>(&text).unwrap(), numbered, "{text}");
    }
}

#[test]
fn events_are_numbered_from_one_and_their_time_never_falls() {
    use std::sync::{Arc, Mutex};

    use disperse_scheduler::Moment;

    use super::{EventSink, Finished};

    #[derive(Clone, Default)]
    struct Recorder(Arc<Mutex<Vec<Numbered>>>);

    impl EventSink for Recorder {
        fn event(&mut self, event: &Numbered, _: Option<OutputPiece>) {
            self.0.lock().unwrap().push(event.clone());
        }

        fn finish(self: Box<Self>, _: &dyn Fn() -> bool) -> std::io::Result<Finished> {
            Ok(Finished::Whole)
        }
    }

    let recorder = Recorder::default();
    let mut reporter = Reporter::new(Box::new(recorder.clone()));
    reporter.aside(RunEvent::Started { run: "r".into() });
    for ms in [5, 3, 9] {
        reporter.event(
            Moment::from_millis(ms),
            RunEvent::Systemic {
                pool: "p".into(),
                on: true,
            },
        );
    }
    let summary = RunSummary {
        unroutable: 4,
        ..RunSummary::default()
    };
    let (summary, finished) = reporter.finish(summary, || false);
    assert_eq!((summary.unroutable, finished.unwrap()), (4, Finished::Whole));
    let events = recorder.0.lock().unwrap();
    let places: Vec<_> = events.iter().map(|event| (event.seq, event.at_ms)).collect();
    assert_eq!(places, [(1, 0), (2, 5), (3, 5), (4, 9), (5, 9)]);
    assert!(matches!(events[4].event, RunEvent::Finished(_)));
}
