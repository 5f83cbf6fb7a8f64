//! What people read.

use std::{fs, path::Path};

use disperse_engine::driver::{Journal as _, Record};
use disperse_protocol::inbox::FailureClass;
use disperse_scheduler::{Evicted, Health, Moment, Reason, TaskId};

use super::{
    model::Turns,
    support::{Place, attempt_failed, ended, info, settled, started, worker_changed},
};
use crate::{EndedTask, JournalError, JournalReader, Status, connect};

#[test]
fn journal_is_read_while_it_is_written() {
    let place = Place::new();
    let mut writer = crate::create(&place.path, &info()).unwrap();
    let locked = crate::open(&place.path).err().unwrap();
    let pid = std::process::id().to_string();
    assert!(
        matches!(&locked, JournalError::Locked { pid: found, .. } if *found == pid),
        "{locked}"
    );
    let text = locked.to_string();
    assert!(
        text.contains(&format!("in use by process {pid} on ")) && text.contains(" UTC: wait"),
        "{text}"
    );
    let holder = crate::holder(&place.path).unwrap();
    assert_eq!(holder.map(|error| error.to_string()), Some(text));
    let link = place.folder.path().join("link.journal");
    std::os::unix::fs::symlink(&place.path, &link).unwrap();
    assert!(matches!(crate::open(&link), Err(JournalError::Locked { .. })));
    writer.append(1, Turns::new(1).next());
    while writer.durable() < 1 {
        std::thread::yield_now();
    }
    let reader = JournalReader::open(&place.path).unwrap();
    assert_eq!((reader.info().unwrap(), reader.progress().unwrap().turns), (info(), 1));
    drop(reader);
    let mode = |path: &Path| std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777;
    assert_eq!(mode(place.path.parent().unwrap()), 0o700);
    for ending in ["journal", "journal-wal", "journal-shm", "lock", "spare"] {
        assert_eq!(mode(&place.path.with_extension(ending)), 0o600, "{ending}");
    }
    assert!(matches!(crate::remove(&place.path), Err(JournalError::Locked { .. })));
    // With the spare space.
    assert!(crate::size(&place.path) > 4 << 20);
    writer.handle().end(Status::Finished, None).unwrap();
    assert!((1..1 << 20).contains(&crate::size(&place.path)));
    assert!(crate::holder(&place.path).unwrap().is_none());
    // One that was left by a process that was killed.
    fs::write(place.path.with_extension("lock"), "pid 1\n").unwrap();
    assert!(crate::holder(&place.path).unwrap().is_none());
    drop(crate::open(&place.path).unwrap());
    crate::remove(&place.path).unwrap();
    assert_eq!(fs::read_dir(place.path.parent().unwrap()).unwrap().count(), 0);
    assert!(matches!(crate::remove(&place.path), Err(JournalError::Missing { .. })));
}

#[test]
fn views_show_text_as_text() {
    let place = Place::new();
    let path = place.path;
    let mut writer = crate::create(&path, &info()).unwrap();
    let large = "x".repeat(5_000);
    writer.append(
        1,
        vec![
            started(0, b"a line", 3),
            settled(0, 1, b"\xff", Err((Reason::Poison, "three workers trapped"))),
            settled(0, 2, b"{}", Ok(b"fine")),
            ended(0, Ok(large.as_bytes()), 10),
            started(1, large.as_bytes(), 3),
            ended(1, Err("gone"), 4),
        ],
    );
    writer
        .handle()
        .end(Status::Failed, Some("1 task failed".to_owned()))
        .unwrap();
    let connection = connect::to_read(&path).unwrap();
    let text = |sql: &str| -> String { connection.query_row(sql, (), |row| row.get(0)).unwrap() };
    let rows = |view: &str, columns: &str| {
        text(&format!(
            "SELECT group_concat(concat_ws('|', {columns}), ' ') FROM {view}"
        ))
    };
    assert_eq!(
        rows("results", "task, input, ok, length(result), error, ms").replace(&large, "L"),
        "0|a line|1|5000|7 1|L|0|gone|1"
    );
    assert_eq!(
        rows(
            "dead",
            "task, request, kind, reason, message, typeof(payload_beginning)"
        ),
        "0|1|fetch|poison|three workers trapped|blob"
    );
    assert_eq!(rows("actions", "request, ok, result"), "1|0 2|1|fine");
    assert_eq!(
        rows("run", "id, status, reason, tasks, tasks_ended, actions"),
        "20261124-162024-kqztb|failed|1 task failed|2|2|2"
    );
    assert_eq!(text("SELECT created FROM run"), "2026-11-24 16:20:24");
}

#[test]
fn views_show_failed_attempts_and_what_workers_are_now() {
    let place = Place::new();
    let mut writer = crate::create(&place.path, &info()).unwrap();
    let until = Moment::from_millis(500);
    writer.append(
        1,
        vec![
            Record::WorkerChanged(worker_changed("pool/1", Health::Healthy, 1.0)),
            Record::WorkerChanged(worker_changed("pool/2", Health::Evicted(Evicted::Unfit), 0.0)),
            Record::WorkerChanged(worker_changed(
                "pool/1",
                Health::Quarantined { until, round: 1 },
                5.333_3,
            )),
            Record::AttemptFailed(attempt_failed(3, 1, FailureClass::Transient, "no answer")),
        ],
    );
    writer.handle().end(Status::Finished, None).unwrap();
    let connection = connect::to_read(&place.path).unwrap();
    let all = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map((), |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let workers = "SELECT concat_ws(', ', worker, health, quarantined_until_ms) FROM workers ORDER BY id";
    assert_eq!(all(workers), ["pool/2, evicted: unfit", "pool/1, quarantined, 500"]);
    let attempts = "SELECT concat_ws(', ', task, request, worker, class, message) FROM attempts";
    assert_eq!(all(attempts), ["3, 1, pool/1, transient, no answer"]);
}

/// More than a page of rows, and rows that are more than a page by their size.
#[test]
fn entries_are_read_in_pages() {
    let place = Place::new();
    let mut writer = crate::create(&place.path, &info()).unwrap();
    let value = |number: u32| -> Result<&[u8], _> {
        if number.is_multiple_of(3) {
            Err((Reason::Deadline, "late"))
        } else {
            Ok(b"\xff")
        }
    };
    writer.append(
        1,
        (0..1_300)
            .map(|number| settled(0, number, b"x", value(number)))
            .collect(),
    );
    let large = vec![b'y'; 300_000];
    let result = |task: u64| -> Result<&[u8], &str> {
        match task {
            0..10 => Ok(&large),
            999 => Err("gone"),
            _ => Ok(b"out"),
        }
    };
    writer.append(
        2,
        (0..1_000)
            .flat_map(|task| [started(task, b"in", 1), ended(task, result(task), 2)])
            .collect(),
    );
    while writer.durable() < 2 {
        std::thread::yield_now();
    }
    let reader = JournalReader::open(&place.path).unwrap();
    let results: Vec<_> = reader.results().map(Result::unwrap).collect();
    assert_eq!(results.len(), 1_000);
    assert!(results.iter().zip(0..).all(|(found, task)| found.task.0 == task));
    assert_eq!(results[9].outcome.as_ref().map(Vec::len), Ok(large.len()));
    let last = EndedTask {
        task: TaskId(999),
        input: b"in".to_vec(),
        outcome: Err("gone".to_owned()),
        ms: 1,
    };
    assert_eq!(results[999], last);
    let actions: Vec<_> = reader.actions().map(Result::unwrap).collect();
    assert_eq!(actions.len(), 1_300);
    assert_eq!(actions[1].outcome, Ok(vec![0xff]));
    let dead: Vec<_> = reader.dead().map(Result::unwrap).collect();
    assert_eq!((dead.len(), &dead[433]), (434, &actions[1_299]));
    let failures = reader.failures().unwrap();
    assert_eq!(failures.tasks, 1);
    assert_eq!(failures.actions, [("deadline".to_owned(), 434)].into());
    drop(reader);
    writer.handle().end(Status::Finished, None).unwrap();
}
