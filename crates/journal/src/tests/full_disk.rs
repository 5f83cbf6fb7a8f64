//! A disk without space: what is appended waits, in order, and nothing of it is lost.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use disperse_engine::driver::Journal as _;

use super::{
    Hooks,
    model::{Model, Turns},
    support::{Place, durable, info},
};
use crate::{JournalError, JournalWriter, Status, message::Pace, open::create_with};

/// How long a test waits for what must come.
const MAX: Duration = Duration::from_secs(60);

fn create(place: &Place, give_up: Duration) -> (JournalWriter, Hooks) {
    let hooks = Hooks::default();
    let pace = Pace {
        again: Duration::from_millis(2),
        give_up,
    };
    let writer = create_with(&place.path, &info(), pace, hooks.clone()).unwrap();
    (writer, hooks)
}

/// Appends turns until there is trouble, and some more. Returns how many, and what they amount to.
async fn fill(writer: &mut JournalWriter, hooks: &Hooks, turns: &mut Turns) -> (u64, Model) {
    hooks.pages_max.store(40, Ordering::SeqCst);
    let (mut model, mut number) = (Model::default(), 0);
    let mut append = |writer: &mut JournalWriter| {
        let records = turns.next();
        model.apply(&records);
        number += 1;
        writer.append(number, records);
    };
    while writer.handle().trouble().is_none() {
        append(writer);
        tokio::time::timeout(MAX, writer.advanced()).await.unwrap();
    }
    for _ in 0..20 {
        append(writer);
    }
    (number, model)
}

#[tokio::test]
async fn records_wait_for_space() {
    let place = Place::new();
    let (mut writer, hooks) = create(&place, MAX);
    let mut turns = Turns::new(5);
    let (last, model) = fill(&mut writer, &hooks, &mut turns).await;
    let handle = writer.handle();
    assert!(handle.trouble().unwrap().contains("is full: free some space"));
    assert!(writer.durable() < last && handle.backlog() > 0);
    assert_eq!(handle.failure(), None);
    // The space that was kept has been given back.
    let spare = place.path.with_extension("spare");
    let begun = Instant::now();
    while spare.exists() {
        assert!(begun.elapsed() < MAX);
        tokio::task::yield_now().await;
    }

    hooks.pages_max.store(0, Ordering::SeqCst);
    durable(&mut writer, last).await;
    while handle.trouble().is_some() {
        tokio::time::timeout(MAX, writer.advanced()).await.unwrap();
    }
    assert!(spare.exists() && handle.backlog() == 0);
    handle.end(Status::Finished, None).unwrap();
    assert_eq!(Model::open(&place.path, turns.tasks()), Ok((last, model)));
}

#[tokio::test]
async fn disk_that_stays_full_ends_the_run() {
    let place = Place::new();
    let (mut writer, hooks) = create(&place, Duration::ZERO);
    let mut turns = Turns::new(6);
    let (last, _) = fill(&mut writer, &hooks, &mut turns).await;
    while writer.failure().is_none() {
        tokio::time::timeout(MAX, writer.advanced()).await.unwrap();
    }
    let was_durable = writer.durable();
    let end = writer
        .handle()
        .end(Status::Stopped, Some("the disk is full".to_owned()));
    assert!(matches!(end, Err(JournalError::DiskFull { .. })), "{end:?}");
    assert!(was_durable < last);
    // Another process can resume it.
    let (turns, _) = Model::open(&place.path, turns.tasks()).unwrap();
    assert_eq!(turns, was_durable);
}

#[tokio::test]
async fn end_writes_what_waited_once_there_is_space() {
    let place = Place::new();
    let (mut writer, hooks) = create(&place, Duration::ZERO);
    let mut turns = Turns::new(6);
    let (last, model) = fill(&mut writer, &hooks, &mut turns).await;
    while writer.failure().is_none() {
        tokio::time::timeout(MAX, writer.advanced()).await.unwrap();
    }
    hooks.pages_max.store(0, Ordering::SeqCst);
    writer.handle().end(Status::Stopped, None).unwrap();
    assert_eq!(Model::open(&place.path, turns.tasks()), Ok((last, model)));
}

#[tokio::test]
async fn record_that_is_there_twice_ends_the_run_at_once() {
    let place = Place::new();
    let (mut writer, _) = create(&place, MAX);
    writer.append(1, vec![super::support::started(1, b"", 1)]);
    writer.append(2, vec![super::support::started(1, b"", 1)]);
    while writer.failure().is_none() {
        tokio::time::timeout(MAX, writer.advanced()).await.unwrap();
    }
    assert!(writer.failure().unwrap().contains("twice"));
}

/// By hand: `mount -t tmpfs -o size=12m none /mnt/small`, then run it with SMALL_DISK=/mnt/small.
#[cfg(feature = "soak")]
#[tokio::test]
async fn small_disk_that_fills_up_keeps_space_for_the_last_records() {
    let disk = std::path::PathBuf::from(std::env::var_os("SMALL_DISK").unwrap());
    let path = disk.join("a.journal");
    let pace = Pace {
        again: Duration::from_millis(5),
        give_up: MAX,
    };
    let mut writer = create_with(&path, &info(), pace, Hooks::default()).unwrap();
    let handle = writer.handle();
    std::fs::write(disk.join("filler"), vec![1; 4 << 20]).unwrap();
    let (mut turns, mut model, mut number) = (Turns::new(8), Model::default(), 0);
    let mut append = |writer: &mut JournalWriter| {
        let records = turns.next();
        model.apply(&records);
        number += 1;
        writer.append(number, records);
        number
    };
    while handle.trouble().is_none() {
        let turn = append(&mut writer);
        while writer.durable() < turn && handle.trouble().is_none() {
            tokio::time::timeout(MAX, writer.advanced()).await.unwrap();
        }
    }
    // What is under way when the disk is full still fits, in the space that was kept.
    let last = (0..50).map(|_| append(&mut writer)).last().unwrap();
    durable(&mut writer, last).await;
    assert!(handle.trouble().unwrap().contains("is full"));
    // And then nothing does, until there is space.
    while handle.backlog() < 100_000 {
        append(&mut writer);
        tokio::task::yield_now().await;
    }
    std::fs::remove_file(disk.join("filler")).unwrap();
    let last = append(&mut writer);
    durable(&mut writer, last).await;
    while handle.trouble().is_some() {
        tokio::time::timeout(MAX, writer.advanced()).await.unwrap();
    }
    handle.end(Status::Finished, None).unwrap();
    let found = Model::open(&path, turns.tasks()).unwrap();
    assert!(found == (last, model));
}
