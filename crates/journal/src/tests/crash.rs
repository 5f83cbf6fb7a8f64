//! What is left after a crash is what was appended, up to some turn, and nothing that was durable is missing.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bolero::check;
use disperse_engine::driver::Journal as _;

use super::{
    Hooks,
    model::{Model, Random, Turns},
    support::{Place, info},
};
use crate::{Status, connect, message::Pace, open::create_with};

/// Copies a journal as a crash would leave it: its log can be written meanwhile, but does not begin anew. Returns the length of
/// the copied log.
fn copy(from: &Path, to: &Path) -> u64 {
    let reader = connect::to_read(from).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM progress;").unwrap();
    let log = |path: &Path| path.with_extension("journal-wal");
    fs::copy(from, to).unwrap();
    // As it is at one moment: what is read of a file that is being written may be older at its beginning than at its end.
    let read = || fs::read(log(from)).unwrap();
    let mut bytes = read();
    loop {
        let again = read();
        if again == bytes {
            break;
        }
        bytes = again;
    }
    fs::write(log(to), &bytes).unwrap();
    drop(reader);
    bytes.len() as u64
}

/// Writes over the end of a log, as a write that was interrupted may.
fn tear(path: &Path, length: u64, random: &mut Random) {
    let log = path.with_extension("journal-wal");
    let mut bytes = fs::read(&log).unwrap();
    bytes.truncate(length as usize);
    if random.below(2) == 0 {
        bytes.extend((0..random.below(9_000)).map(|at| (at * at) as u8));
    }
    fs::write(&log, bytes).unwrap();
}

/// `log_due`: whether the log is copied to the file now and then, or never. If never, it can be torn anywhere.
fn crash(seed: u64, log_due: u64) {
    let place = Place::new();
    let hooks = Hooks {
        log_due: Some(log_due),
        ..Hooks::default()
    };
    let mut writer = create_with(&place.path, &info(), Pace::NORMAL, hooks).unwrap();
    let mut turns = Turns::new(seed);
    let mut models = vec![Model::default()];
    let copied = place.folder.path().join("copy.journal");
    for number in 1..=60_u64 {
        let records = turns.next();
        let mut model = models.last().unwrap().clone();
        model.apply(&records);
        models.push(model);
        writer.append(number, records);
        if turns.random.below(12) > 0 {
            continue;
        }
        let durable = writer.durable();
        let log = place.path.with_extension("journal-wal");
        let durable_length = log.metadata().unwrap().len();
        let length = copy(&place.path, &copied);
        let mut needed = durable;
        if log_due == u64::MAX {
            let kept = turns.random.below(length + 1);
            tear(&copied, kept, &mut turns.random);
            if kept < durable_length {
                needed = 0;
            }
        }
        let (found, model) = Model::open(&copied, turns.tasks()).unwrap();
        assert!(needed <= found && found <= number, "{needed} <= {found} <= {number}");
        assert_eq!(model, models[found as usize], "after {found} of {number} turns");
        for ending in ["journal", "journal-wal", "journal-shm"] {
            let _ = fs::remove_file(copied.with_extension(ending));
        }
    }
    let handle = writer.handle();
    handle.end(Status::Finished, None).unwrap();
    let (found, model) = Model::open(&place.path, turns.tasks()).unwrap();
    assert_eq!((found, &model), (60, models.last().unwrap()));
}

#[test]
fn torn_log_leaves_a_prefix_of_the_turns() {
    check!()
        .with_type::<u64>()
        .with_test_time(Duration::from_secs(2))
        .with_iterations(usize::MAX)
        .for_each(|seed| crash(*seed, u64::MAX));
}

#[test]
fn crash_between_checkpoints_leaves_all_that_was_durable() {
    check!()
        .with_type::<u64>()
        .with_test_time(Duration::from_secs(2))
        .with_iterations(usize::MAX)
        .for_each(|seed| crash(*seed, 10));
}

#[test]
fn resumed_run_goes_on_after_a_crash() {
    let (place, other) = (Place::new(), Place::new());
    let mut writer = crate::create(&place.path, &info()).unwrap();
    let (mut turns, mut model) = (Turns::new(7), Model::default());
    fs::create_dir_all(other.path.parent().unwrap()).unwrap();
    let mut done = 0;
    for _ in 0..3 {
        for number in 1..=20 {
            let records = turns.next();
            model.apply(&records);
            writer.append(number, records);
        }
        done += 20;
        while writer.durable() < 20 {
            std::thread::yield_now();
        }
        copy(&place.path, &other.path);
        writer.handle().end(Status::Failed, None).unwrap();
        // As if it had been killed before that.
        let log = |path: &Path| path.with_extension("journal-wal");
        fs::copy(&other.path, &place.path).unwrap();
        fs::copy(log(&other.path), log(&place.path)).unwrap();
        let open = crate::open(&place.path).unwrap();
        assert_eq!((open.info().status, open.progress().turns), (Status::Running, done));
        let written = open.progress().written_bytes;
        let resumed = open.resume().unwrap();
        let mut history = resumed.1;
        assert_eq!(Model::read(&mut history, turns.tasks(), written).unwrap(), model);
        writer = resumed.0;
    }
}

#[test]
fn log_stays_short_while_readers_poll() {
    const DUE: u64 = 20;
    let place = Place::new();
    let hooks = Hooks {
        log_due: Some(DUE),
        ..Hooks::default()
    };
    let mut writer = create_with(&place.path, &info(), Pace::NORMAL, hooks).unwrap();
    let (stop, path) = (Arc::new(AtomicBool::new(false)), place.path.clone());
    let stopped = Arc::clone(&stop);
    let reader = std::thread::spawn(move || {
        let [mut one, mut other] = [0, 1].map(|_| connect::to_read(&path).unwrap());
        let begin = "BEGIN; SELECT * FROM progress;";
        one.execute_batch(begin).unwrap();
        // One or the other has always a transaction open.
        while !stopped.load(Ordering::Relaxed) {
            other.execute_batch(begin).unwrap();
            one.execute_batch("COMMIT").unwrap();
            std::mem::swap(&mut one, &mut other);
        }
    });
    let mut turns = Turns::new(9);
    let mut longest = 0;
    for number in 1..=600 {
        writer.append(number, turns.next());
        while writer.durable() < number {
            std::thread::yield_now();
        }
        longest = longest.max(place.path.with_extension("journal-wal").metadata().unwrap().len());
    }
    stop.store(true, Ordering::Relaxed);
    reader.join().unwrap();
    // Readers are waited for after four times as many frames; on a busy machine the first wait may be in vain. Without it the log
    // has ten times as many frames as this.
    assert!(longest < 20 * DUE * 4120, "{longest}");
    assert!(writer.handle().log_bytes() < longest + 1);
    let handle = writer.handle();
    drop(writer);
    handle.end(Status::Finished, None).unwrap();
}
