//! A journal that is not as it was written is refused.

use std::{
    fs,
    path::{Path, PathBuf},
};

use disperse_engine::driver::Journal as _;
use tempfile::TempDir;

use super::{
    Hooks,
    model::{Model, Random, Turns},
    support::{Place, folder, info, started},
};
use crate::{JournalError, Status, message::Pace, open::create_with, schema};

/// A journal with its log as a kill leaves it, what it holds after each commit, and the number of tasks.
struct Killed {
    file: Vec<u8>,
    log: Vec<u8>,
    commits: Vec<Model>,
    tasks: u64,
}

impl Killed {
    /// `log_due`: after how many frames the log is copied to the file.
    fn new(log_due: u64) -> Self {
        let place = Place::new();
        let hooks = Hooks {
            log_due: Some(log_due),
            ..Hooks::default()
        };
        let mut writer = create_with(&place.path, &info(), Pace::NORMAL, hooks).unwrap();
        let mut turns = Turns::new(3);
        let mut commits = vec![Model::default()];
        for number in 1..=60 {
            let records = turns.next();
            let mut model = commits.last().unwrap().clone();
            model.apply(&records);
            commits.push(model);
            writer.append(number, records);
            while writer.durable() < number {
                std::thread::yield_now();
            }
        }
        let file = fs::read(&place.path).unwrap();
        let log = fs::read(place.path.with_extension("journal-wal")).unwrap();
        Self {
            file,
            log,
            commits,
            tasks: turns.tasks(),
        }
    }

    fn write(&self, file: &[u8], log: &[u8], path: &Path) {
        fs::write(path, file).unwrap();
        fs::write(path.with_extension("journal-wal"), log).unwrap();
        let _ = fs::remove_file(path.with_extension("journal-shm"));
    }

    fn last(&self) -> &Model {
        self.commits.last().unwrap()
    }
}

fn flip(bytes: &mut [u8], random: &mut Random) {
    let at = random.below(bytes.len() as u64) as usize;
    bytes[at] ^= 1 << random.below(8);
}

#[test]
fn bit_flip_in_the_file_is_harmless_or_refused() {
    let (killed, folder) = (Killed::new(40), folder());
    let path = folder.path().join("a.journal");
    // All of it in the file.
    killed.write(&killed.file, &killed.log, &path);
    drop(crate::open(&path).unwrap());
    let whole = fs::read(&path).unwrap();
    let mut random = Random::new(11);
    let mut refused = 0;
    for round in 0..1_500 {
        let mut bytes = whole.clone();
        flip(&mut bytes, &mut random);
        killed.write(&bytes, &[], &path);
        match Model::open(&path, killed.tasks) {
            Ok((_, model)) => assert!(&model == killed.last(), "round {round}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 500, "{refused}");
}

#[test]
fn bit_flip_in_an_inner_page_is_harmless_or_refused() {
    let place = Place::new();
    let mut writer = crate::create(&place.path, &info()).unwrap();
    let records: Vec<_> = (0..2_000).map(|task| started(task, &[b'x'; 60], 1)).collect();
    let mut expected = Model::default();
    expected.apply(&records);
    writer.append(1, records);
    writer.handle().end(Status::Finished, None).unwrap();
    let whole = fs::read(&place.path).unwrap();
    // Their first byte is 5 if they lead to pages with rows.
    let inner = (0..whole.len()).step_by(4096).filter(|at| whole[*at] == 5);
    let inner: Vec<_> = inner.collect();
    assert!(!inner.is_empty());
    let mut random = Random::new(13);
    let mut refused = 0;
    for round in 0..100 {
        let mut bytes = whole.clone();
        let at = inner[round % inner.len()];
        flip(&mut bytes[at..at + 4096], &mut random);
        // Its cells are at its end, those that lead to other pages.
        flip(&mut bytes[at + 3800..at + 4096], &mut random);
        fs::write(&place.path, bytes).unwrap();
        match Model::open(&place.path, 2_000) {
            Ok((_, model)) => assert!(model == expected, "round {round}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 50, "{refused}");
}

#[test]
fn bit_flip_in_the_log_loses_at_most_the_last_commit_unnoticed() {
    let folder = folder();
    let path = folder.path().join("a.journal");
    let mut random = Random::new(12);
    let mut refused = 0;
    // A log that has begun anew, behind which the old one is; and one with all records.
    for killed in [Killed::new(40), Killed::new(u64::MAX)] {
        for _ in 0..250 {
            let mut log = killed.log.clone();
            flip(&mut log, &mut random);
            killed.write(&killed.file, &log, &path);
            match Model::open(&path, killed.tasks) {
                Ok((60, model)) => assert!(model == *killed.last()),
                Ok((turns, model)) => {
                    assert_eq!(turns, 59);
                    assert!(model == killed.commits[59]);
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 200, "{refused}");
}

#[test]
fn truncated_file_is_refused() {
    let (killed, folder) = (Killed::new(40), folder());
    let path = folder.path().join("a.journal");
    killed.write(&killed.file, &killed.log, &path);
    drop(crate::open(&path).unwrap());
    let whole = fs::read(&path).unwrap();
    for length in [
        whole.len() - 1,
        whole.len() - 4096,
        whole.len() / 2,
        5_000,
        4_096,
        200,
        100,
    ] {
        killed.write(&whole[..length], &[], &path);
        let error = crate::open(&path).err().expect("it is truncated");
        assert!(matches!(error, JournalError::Damaged { .. }), "{length}: {error}");
    }
}

/// A journal of a run that ended.
fn ended() -> (TempDir, PathBuf) {
    let folder = folder();
    let path = folder.path().join("a.journal");
    let writer = crate::create(&path, &info()).unwrap();
    writer.handle().end(Status::Finished, None).unwrap();
    (folder, path)
}

fn change(path: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch(sql).unwrap();
}

fn refusal(path: &Path) -> JournalError {
    crate::open(path).err().expect("it is refused")
}

#[test]
fn kinds_of_wrong_files_are_told_apart() {
    let (folder, path) = ended();
    let other = folder.path().join("other");
    assert!(matches!(refusal(&other), JournalError::Missing { .. }));
    fs::write(&other, "not a journal").unwrap();
    assert!(matches!(refusal(&other), JournalError::NotAJournal { .. }));
    fs::write(&other, "").unwrap();
    assert!(matches!(refusal(&other), JournalError::Empty { .. }));
    change(&other, "CREATE TABLE x (y)");
    assert!(matches!(refusal(&other), JournalError::NotAJournal { .. }));
    fs::remove_file(&other).unwrap();
    // Killed while it was created.
    change(&other, "PRAGMA journal_mode = WAL; CREATE TABLE x (y); DROP TABLE x");
    assert!(matches!(refusal(&other), JournalError::Empty { .. }));

    assert!(matches!(
        crate::create(&path, &info()),
        Err(JournalError::Exists { .. })
    ));
    change(&path, "PRAGMA user_version = 2");
    let newer = refusal(&path);
    assert!(
        matches!(&newer, JournalError::Newer { schema: 2, version, .. } if version == "0.1.0"),
        "{newer}"
    );
    let text = newer.to_string();
    assert!(
        text.contains("the schema 2 of version 0.1.0") && text.contains("up to 1: use that version"),
        "{text}"
    );
    change(&path, &format!("PRAGMA user_version = {}", schema::VERSION));
    drop(crate::open(&path).unwrap());

    change(
        &path,
        "CREATE INDEX mine ON settled (kind); CREATE VIEW more AS SELECT * FROM dead",
    );
    drop(crate::open(&path).unwrap());
    change(
        &path,
        "CREATE TRIGGER bad AFTER INSERT ON settled BEGIN DELETE FROM settled; END",
    );
    assert!(refusal(&path).to_string().contains("trigger `bad`"));
    change(&path, "DROP TRIGGER bad; DROP VIEW results");
    assert!(refusal(&path).to_string().contains("view `results`"));
}

#[test]
fn row_that_is_lost_or_changed_is_noticed() {
    let (killed, folder) = (Killed::new(40), folder());
    let path = folder.path().join("a.journal");
    for sql in [
        "DELETE FROM settled WHERE id = 3",
        "DELETE FROM payloads WHERE digest = (SELECT digest FROM payloads LIMIT 1)",
        "UPDATE progress SET settled = settled + 1",
        "UPDATE description SET info = json_set(info, '$.seed', 1)",
        "UPDATE settled SET value = 'other' WHERE value IS NOT NULL",
        "UPDATE settled SET request = request + 1000",
        "UPDATE settled SET task = task + 1000 WHERE id = 2",
        "UPDATE task_ends SET ok = 1 - ok",
        "UPDATE task_ends SET turn = 0",
        "UPDATE task_starts SET task = task + 1000 WHERE task = (SELECT max(task) FROM task_starts)",
        "UPDATE task_starts SET input_digest = zeroblob(32)",
        "UPDATE deliveries SET requests = x'01'",
        "UPDATE planner_calls SET now_ms = now_ms + 1",
        "DELETE FROM failed_attempts WHERE id = 1",
        "DELETE FROM quota_blocks WHERE id = 1",
        "DELETE FROM worker_changes WHERE id = 1",
        "UPDATE failed_attempts SET number = number + 1",
        "UPDATE failed_attempts SET class = 'lost'",
        "UPDATE failed_attempts SET class = 'unknown'",
        "UPDATE quota_blocks SET units = units + 1",
        "UPDATE quota_blocks SET bucket = 'other'",
        "UPDATE quota_blocks SET reported = 'unknown'",
        "UPDATE worker_changes SET health = 'healthy', worker = 'other'",
        "UPDATE worker_changes SET score = score + 0.001",
        "UPDATE worker_changes SET health = 'unknown'",
    ] {
        killed.write(&killed.file, &killed.log, &path);
        change(&path, sql);
        let error = refusal(&path);
        assert!(matches!(error, JournalError::Damaged { .. }), "{sql}: {error}");
    }
    // What is stored apart may be large, so it is read only when it is needed.
    killed.write(&killed.file, &killed.log, &path);
    change(&path, "UPDATE payloads SET bytes = 'other'");
    drop(crate::open(&path).unwrap());
    let error = Model::open(&path, killed.tasks).unwrap_err();
    assert!(error.contains("damaged (the value with the digest"), "{error}");
}
