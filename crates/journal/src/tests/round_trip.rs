//! What is appended is what a resumed run reads.

use bytes::Bytes;
use disperse_engine::driver::{History as _, Journal as _, PlannerCalled, Record, StartedBefore};
use disperse_protocol::{
    digest::Digest,
    inbox::{FailureClass, PlannerStep, Refusal},
};
use disperse_scheduler::{Evicted, Health, Moment, Reason, ReportedState, TaskId};

use super::support::{
    Place, attempt_failed, called, delivered, durable, ended, info, reserved, settled, started, worker_changed,
};
use crate::{Anchor, JournalReader, Status};

#[tokio::test]
async fn resumed_run_reads_what_was_appended() {
    let place = Place::new();
    let mut writer = crate::create(&place.path, &info()).unwrap();
    let large = vec![0xff; 10_000];
    writer.append(1, vec![called(PlannerStep::Next, 5), started(1, b"one", 6)]);
    writer.append(
        2,
        vec![settled(1, 1, &large, Ok(b"result")), settled(1, 2, b"two", Ok(&large))],
    );
    writer.append(
        5,
        vec![
            settled(1, 3, b"", Err((Reason::Poison, "a\0b"))),
            delivered(1, 1, &[1, 3], 8),
            started(2, &large, 8),
            ended(2, Err("trap"), 9),
            ended(u64::MAX, Ok(&large), 10),
            called(PlannerStep::Collect(TaskId(2)), 11),
            called(PlannerStep::Finish, 12),
        ],
    );
    durable(&mut writer, 5).await;
    assert_eq!(writer.durable(), 5);
    let handle = writer.handle();
    drop(writer);
    handle.end(Status::Stopped, Some("SIGINT".to_owned())).unwrap();

    let open = crate::open(&place.path).unwrap();
    assert_eq!(
        (open.info().status, open.info().reason.as_deref()),
        (Status::Stopped, Some("SIGINT"))
    );
    assert!(open.info().ended_unix_ms > Some(info().created_unix_ms - 1_000_000_000_000));
    assert_eq!(open.progress().turns, 5);
    let (mut writer, mut history, anchor) = open.resume().unwrap();
    assert_eq!(anchor.run_ms, 12);
    // What is recorded from now on is no history.
    writer.append(
        1,
        vec![
            settled(1, 4, b"new", Ok(b"new")),
            called(PlannerStep::Next, 20),
            ended(1, Ok(b""), 20),
        ],
    );
    durable(&mut writer, 1).await;

    let calls = [
        (PlannerStep::Next, 5),
        (PlannerStep::Collect(TaskId(2)), 11),
        (PlannerStep::Finish, 12),
    ];
    for (step, now_ms) in calls {
        assert_eq!(history.next_call().unwrap(), Some(PlannerCalled { step, now_ms }));
    }
    assert_eq!(history.next_call().unwrap(), None);
    let before = |input: &[u8], now_ms| {
        Some(StartedBefore {
            input: Digest::of(input),
            now_ms,
        })
    };
    assert_eq!(history.started(TaskId(1)).unwrap(), before(b"one", 6));
    assert_eq!(history.started(TaskId(2)).unwrap(), before(&large, 8));
    assert_eq!(history.started(TaskId(3)).unwrap(), None);
    assert_eq!(history.outcome(TaskId(1)).unwrap(), None);
    assert_eq!(history.outcome(TaskId(2)).unwrap(), Some(Err("trap".to_owned())));
    assert_eq!(
        history.outcome(TaskId(u64::MAX)).unwrap(),
        Some(Ok(large.clone().into()))
    );
    let task = history.task(TaskId(1)).unwrap();
    assert_eq!(task.deliveries.len(), 1);
    assert_eq!(
        (task.deliveries[0].requests.as_slice(), task.deliveries[0].now_ms),
        (&[1, 3][..], 8)
    );
    assert_eq!(task.settled.len(), 3);
    let [first, second, third] = [1, 2, 3].map(|number| task.settled[&number].clone());
    assert_eq!(
        (first.kind.as_str(), first.value),
        ("fetch", Ok(Bytes::from_static(b"result")))
    );
    assert_eq!(
        (first.digest, first.beginning),
        (Digest::of(&large), vec![0xff; 64].into())
    );
    assert_eq!((second.digest, second.beginning), (Digest::of(b"two"), "two".into()));
    assert_eq!(second.value, Ok(large.into()));
    let refusal = Refusal {
        reason: Reason::Poison,
        message: "a\0b".to_owned(),
    };
    assert_eq!(third.value, Err(refusal));
    assert_eq!(history.task(TaskId(9)).unwrap(), Default::default());

    drop(history);
    writer.handle().end(Status::Finished, None).unwrap();
    let reader = JournalReader::open(&place.path).unwrap();
    let (info, progress) = (reader.info().unwrap(), reader.progress().unwrap());
    assert_eq!((info.status, info.reason), (Status::Finished, None));
    // The turns of all processes, the calls of the planner and the rest.
    assert_eq!(
        (
            progress.turns,
            progress.planner_calls,
            progress.settled,
            progress.payloads
        ),
        (6, 4, 4, 1)
    );
    let left: Vec<_> = std::fs::read_dir(place.path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn every_health_and_report_is_read_as_it_was_written() {
    let place = Place::new();
    let mut writer = crate::create(&place.path, &info()).unwrap();
    let (until, quarantines) = (Moment::from_micros(u64::MAX - 1), u32::MAX);
    let healths = [
        Health::Healthy,
        Health::Quarantined { until, round: 3 },
        Health::Probation { round: 0 },
        Health::Draining,
        Health::Evicted(Evicted::Unfit),
        Health::Evicted(Evicted::Unreliable { quarantines }),
        Health::Gone,
    ];
    let workers: Vec<_> = (0..)
        .zip(healths)
        .map(|(at, health)| worker_changed(&format!("pool/{at}"), health, 0.1))
        .collect();
    let (left, resets) = (u64::MAX, Moment::NEVER);
    let reports = [
        ReportedState::None,
        ReportedState::Window {
            left,
            earliest: Moment::from_micros(1),
            latest: until,
            resets,
        },
        ReportedState::Cap { left, until, resets },
        ReportedState::Debt { until },
    ];
    let quotas = reports.map(|reported| reserved(5, reported));
    let failed = attempt_failed(4, 1, FailureClass::WorkerFault, "a\0b");
    // Of the same worker, an earlier change.
    let mut records = vec![Record::WorkerChanged(worker_changed("pool/0", Health::Draining, 2.0))];
    records.extend(workers.iter().cloned().map(Record::WorkerChanged));
    records.extend(quotas.iter().cloned().map(Record::QuotaReserved));
    records.push(started(4, b"", 1));
    records.push(Record::AttemptFailed(failed.clone()));
    writer.append(1, records);
    let handle = writer.handle();
    drop(writer);
    handle.end(Status::Stopped, None).unwrap();
    let (mut writer, mut history, _) = crate::open(&place.path).unwrap().resume().unwrap();
    // What is recorded from now on is no history.
    writer.append(
        1,
        vec![
            Record::WorkerChanged(worker_changed("pool/1", Health::Gone, 0.0)),
            Record::QuotaReserved(quotas[0].clone()),
            Record::AttemptFailed(failed.clone()),
        ],
    );
    writer.handle().end(Status::Finished, None).unwrap();
    assert_eq!(history.workers().unwrap(), workers);
    assert_eq!(history.quotas().unwrap(), quotas);
    assert_eq!(history.task(TaskId(4)).unwrap().failed, [failed]);
}

#[test]
fn time_of_a_run_that_recorded_nothing_begins_with_the_run() {
    let place = Place::new();
    let writer = crate::create(&place.path, &info()).unwrap();
    writer.handle().end(Status::Stopped, None).unwrap();
    let (writer, _, anchor) = crate::open(&place.path).unwrap().resume().unwrap();
    assert_eq!((anchor.run_ms, anchor.unix_ms), (0, info().began_unix_ms));
    writer.handle().end(Status::Finished, None).unwrap();
}

#[test]
fn clock_set_back_counts_as_one_that_stood_still() {
    let anchor = Anchor {
        run_ms: 10,
        unix_ms: 1_000,
    };
    assert_eq!((anchor.run_ms_at(1_005), anchor.run_ms_at(900)), (15, 10));
}
