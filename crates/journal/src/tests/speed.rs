//! Measurements: `.ci/soak journal`.

#![allow(
    clippy::print_stderr,
    reason = "the measured numbers are what these tests are run to see"
)]

use std::time::Instant;

use disperse_engine::driver::{History as _, Journal as _, Record};
use disperse_scheduler::TaskId;

use super::support::{Place, delivered, durable, info, settled, started};
use crate::{JournalWriter, Status, connect};

/// How many tasks are in flight.
const TASKS: u64 = 64;

/// Appends actions of 150 bytes as tasks of a run would perform them, `each` to a turn.
async fn fill(writer: &mut JournalWriter, actions: u64, each: u64, has_deliveries: bool) {
    let payload = [b'x'; 75];
    let mut turn = 0;
    let mut batch: Vec<Record> = Vec::new();
    for number in 0..actions {
        let (task, request) = (number % TASKS, (number / TASKS) as u32 + 1);
        batch.push(settled(task, request, &payload, Ok(&payload)));
        if has_deliveries {
            batch.push(delivered(task, request, &[request], 7));
        }
        if batch.len() as u64 >= each {
            turn += 1;
            writer.append(turn, std::mem::take(&mut batch));
        }
    }
    writer.append(turn + 1, vec![Record::Written { bytes: 1 }]);
    durable(writer, turn + 1).await;
}

#[tokio::test]
async fn speed_of_many_records() {
    for (each, has_deliveries) in [(64, false), (512, false), (64, true)] {
        let place = Place::on_disk();
        let mut writer = crate::create(&place.path, &info()).unwrap();
        let (begun, actions) = (Instant::now(), 1_000_000);
        fill(&mut writer, actions, each, has_deliveries).await;
        let spent = begun.elapsed().as_secs_f64();
        let handle = writer.handle();
        eprintln!(
            "turns of {each} records, deliveries {has_deliveries}: {:.0} actions/s, {} commits, log {} MiB",
            actions as f64 / spent,
            handle.commits(),
            handle.log_bytes() >> 20
        );
        handle.end(Status::Finished, None).unwrap();
        eprintln!("  file {} MiB", place.path.metadata().unwrap().len() >> 20);
    }
}

#[tokio::test]
async fn speed_of_a_lone_record() {
    let place = Place::on_disk();
    let mut writer = crate::create(&place.path, &info()).unwrap();
    let mut all = Vec::new();
    for turn in 1..=2_000 {
        let begun = Instant::now();
        writer.append(turn, vec![settled(1, turn as u32, &[1; 75], Ok(&[2; 75]))]);
        durable(&mut writer, turn).await;
        all.push(begun.elapsed());
    }
    all.sort();
    eprintln!(
        "a lone record is durable after {:?} (median), {:?} (99 %)",
        all[1_000], all[1_980]
    );
    // What the disk alone takes for as many bytes.
    let file = std::fs::File::create(place.folder.path().join("x")).unwrap();
    let mut all: Vec<_> = (0..500)
        .map(|_| {
            let begun = Instant::now();
            std::io::Write::write_all(&mut &file, &[1; 2 * 4120]).unwrap();
            file.sync_data().unwrap();
            begun.elapsed()
        })
        .collect();
    all.sort();
    eprintln!("two pages and fdatasync alone: {:?} (median)", all[250]);
}

/// Tasks that all wait for each action: a commit takes one of each.
#[tokio::test]
async fn speed_of_rounds() {
    for tasks in [1, 16, 32, 64] {
        let place = Place::on_disk();
        let mut writer = crate::create(&place.path, &info()).unwrap();
        let mut all = Vec::new();
        for round in 1..=4_000_u32 {
            let records = (0..tasks).flat_map(|task| {
                [
                    settled(task, round, &[1; 75], Ok(&[2; 75])),
                    delivered(task, round, &[round], 7),
                ]
            });
            let records = records.collect();
            let begun = Instant::now();
            writer.append(round.into(), records);
            durable(&mut writer, round.into()).await;
            all.push(begun.elapsed());
        }
        all.sort();
        eprintln!(
            "{tasks} actions with their deliveries are durable after {:?} (median), {:?} (99 %)",
            all[2_000], all[3_960]
        );
    }
}

#[tokio::test]
async fn speed_of_opening_and_reading() {
    let place = Place::on_disk();
    let mut writer = crate::create(&place.path, &info()).unwrap();
    writer.append(
        1,
        (0..100_000)
            .map(|task| started(task + TASKS, b"a line of text", 1))
            .collect(),
    );
    durable(&mut writer, 1).await;
    fill(&mut writer, 100_000, 64, true).await;
    writer.handle().end(Status::Stopped, None).unwrap();
    let begun = Instant::now();
    let open = crate::open(&place.path).unwrap();
    let opened = begun.elapsed();
    let (writer, mut history, _) = open.resume().unwrap();
    let resumed = begun.elapsed();
    let mut actions = 0;
    for task in 0..TASKS {
        actions += history.task(TaskId(task)).unwrap().settled.len();
    }
    let read = begun.elapsed();
    for task in 0..100_000 {
        assert!(history.started(TaskId(task + TASKS)).unwrap().is_some());
        assert!(history.outcome(TaskId(task)).unwrap().is_none());
    }
    eprintln!(
        "opened after {opened:?}, resumed {resumed:?}, {actions} actions and deliveries read {read:?}, 200,000 look-ups {:?}",
        begun.elapsed()
    );
    drop(writer);
}

#[tokio::test]
async fn speed_with_a_polling_reader() {
    let place = Place::on_disk();
    let mut writer = crate::create(&place.path, &info()).unwrap();
    let path = place.path.clone();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = std::sync::Arc::clone(&done);
    let reader = std::thread::spawn(move || {
        let connection = connect::to_read(&path).unwrap();
        let (mut reads, mut log) = (0, 0);
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let sql = "SELECT count(*) FROM (SELECT * FROM settled ORDER BY id DESC LIMIT 1000)";
            let count: i64 = connection.query_row(sql, (), |row| row.get(0)).unwrap();
            reads += count.min(1);
            log = log.max(path.with_extension("journal-wal").metadata().unwrap().len());
        }
        (reads, log)
    });
    let begun = Instant::now();
    fill(&mut writer, 1_000_000, 64, true).await;
    let spent = begun.elapsed().as_secs_f64();
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    let (reads, log) = reader.join().unwrap();
    eprintln!(
        "with {reads} reads: {:.0} actions/s, log at most {} MiB",
        1e6 / spent,
        log >> 20
    );
}
