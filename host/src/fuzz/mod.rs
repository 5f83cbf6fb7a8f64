//! Fuzz tests: any input is handled without a panic, be it mutated manifests, components and rules, or events in any
//! order.
//!
//! A short run is part of every `cargo test`. A long one:
//!
//! ```sh
//! BOLERO_RANDOM_TEST_TIME_MS=600000 cargo test --profile ci --workspace --lib fuzz::
//! ```
//! `cargo bolero test --engine libfuzzer fuzz::files::components`, from the package cargo-bolero, is guided by
//! coverage. Its findings go beside the seeds below.

mod files;

use std::{collections::BTreeSet, time::Duration};

use bolero::{TypeGenerator, check};
use disperse_scheduler::{
    ActionId, AttemptId, BucketId, Command, End, Event, KindId, Moment, OwnerId, Policy, PoolId, Quota, Report,
    Scheduler, Spec, TaskId, WorkerId,
};

use crate::{
    grants::ExecRule,
    settings::Manifest,
    units::{Fuel, Size, Time},
};

/// How long each runs, unless the environment sets it.
const TIME: Duration = Duration::from_secs(2);

/// An edit of a seed.
#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Edit {
    Set(u16, u8),
    Flip(u16, u8),
    Insert(u16, u8),
    Remove(u16, u8),
    /// From, how many, to.
    Copy(u16, u8, u16),
    Cut(u16),
}

/// A seed with edits.
fn mutated(seeds: &[Vec<u8>], which: u8, edits: &[Edit]) -> Vec<u8> {
    let mut bytes = seeds[which as usize % seeds.len()].clone();
    for edit in edits {
        // Scaled, so that every byte of a large seed can be hit.
        let place = |at: u16| at as usize * bytes.len().max(1) / (usize::from(u16::MAX) + 1);
        match *edit {
            Edit::Set(at, value) => {
                let at = place(at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            Edit::Flip(at, bit) => {
                let at = place(at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Edit::Insert(at, value) => bytes.insert(place(at).min(bytes.len()), value),
            Edit::Remove(at, count) => {
                let from = place(at);
                let to = (from + usize::from(count)).min(bytes.len());
                bytes.drain(from.min(to)..to);
            }
            Edit::Copy(from, count, to) => {
                let from = place(from);
                let to = place(to).min(bytes.len());
                let end = (from + usize::from(count)).min(bytes.len());
                let part = bytes[from.min(end)..end].to_vec();
                bytes.splice(to..to, part);
            }
            Edit::Cut(at) => bytes.truncate(place(at)),
        }
    }
    bytes
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn manifests() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let page = std::fs::read_to_string(format!("{root}/docs/book/src/manifest.md")).unwrap();
    let (_, manifest) = page.split_once("```toml\n[operation]").unwrap();
    let (manifest, _) = manifest.split_once("```").unwrap();
    let mut seeds = vec![format!("[operation]{manifest}").into_bytes()];
    for entry in std::fs::read_dir(format!("{root}/examples")).unwrap().flatten() {
        seeds.extend(std::fs::read(entry.path().join("disperse.toml")));
    }
    assert!(seeds.len() > 5);
    for seed in &seeds {
        Manifest::parse(&text(seed.clone())).unwrap();
    }
    check!()
        .with_type::<(u8, Vec<Edit>)>()
        .with_test_time(TIME)
        .with_iterations(usize::MAX)
        .for_each(|(which, edits)| {
            let _ = Manifest::parse(&text(mutated(&seeds, *which, edits)));
        });
}

#[test]
fn amounts_and_rules() {
    let seeds: Vec<Vec<u8>> = [
        "10G",
        "64MiB",
        "1.5s",
        "250ms",
        "/bin/sh -c * ...",
        "9e999",
        "18446744073709551616",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    check!()
        .with_type::<(u8, Vec<Edit>, Vec<String>)>()
        .with_test_time(TIME)
        .with_iterations(usize::MAX)
        .for_each(|(which, edits, arguments)| {
            let text = text(mutated(&seeds, *which, edits));
            // A parsed value is printed in a form that parses to the same value.
            if let Ok(fuel) = text.parse::<Fuel>() {
                let _ = fuel.to_string().parse::<Fuel>().unwrap();
            }
            if let Ok(size) = text.parse::<Size>() {
                let _ = size.to_string().parse::<Size>().unwrap();
            }
            if let Ok(time) = text.parse::<Time>() {
                let _ = time.to_string().parse::<Time>().unwrap();
            }
            if let Ok(rule) = ExecRule::new(text.split(' ')) {
                let _ = rule.allows("/bin/sh", arguments);
            }
        });
}

/// An event with small numbers, so that it is often valid, and often not.
#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Happening {
    Kind {
        kind: u8,
        pools: u8,
    },
    Join {
        worker: u8,
        pool: u8,
        slots: u8,
    },
    Left {
        worker: u8,
    },
    Drain {
        worker: u8,
    },
    Readmit {
        worker: u8,
    },
    Submit {
        kind: u8,
        priority: i32,
        attempts: u8,
        deadline: u16,
    },
    Cancel {
        action: u8,
    },
    /// An attempt that was assigned, or if there are none one that does not exist.
    Ended {
        which: u8,
        end: u8,
        wait: u32,
    },
    /// An attempt that may not exist.
    Invented {
        action: u8,
        number: u8,
        worker: u8,
        end: u8,
    },
    DrainAll,
    Bucket {
        bucket: u8,
        sort: u8,
        limit: u8,
        per: u32,
    },
    Report {
        which: u8,
        bucket: u8,
        remaining: u32,
        resets: u32,
    },
    Wait {
        ms: u16,
    },
}

fn quota(sort: u8, limit: u32, per: Duration) -> Quota {
    match sort % 4 {
        0 => Quota::Sliding { limit, per },
        1 => Quota::Fixed { limit, per },
        2 => Quota::Rate {
            limit,
            per,
            burst: sort.into(),
        },
        _ => Quota::Concurrent { limit },
    }
}

fn end(number: u8, wait: u32) -> End {
    match number % 13 {
        0..=4 => End::Ok,
        12 => End::Vote { ballot: wait % 3 },
        5 => End::Busy {
            wait: Duration::from_millis(wait.into()),
        },
        6 => End::Permanent,
        7 => End::Transient,
        8 => End::Trap {
            fingerprint: wait.into(),
        },
        9 => End::Faulty,
        10 => End::Unfit,
        _ => End::Oversize,
    }
}

#[test]
fn events_in_any_order() {
    check!()
        .with_type::<(u64, Vec<Happening>)>()
        .with_test_time(TIME)
        .with_iterations(usize::MAX)
        .for_each(|(seed, happenings)| {
            let mut scheduler = Scheduler::new(Policy::default(), *seed).unwrap();
            let mut now = Moment::START;
            let (mut commands, mut running) = (Vec::new(), Vec::<(AttemptId, WorkerId)>::new());
            let (mut last, mut open) = (0, BTreeSet::new());
            for happening in happenings {
                let event = match *happening {
                    Happening::Kind { kind, pools } => Event::KindDefined {
                        kind: KindId((kind % 4).into()),
                        pools: (0..pools % 4).map(|pool| PoolId(pool.into())).collect(),
                    },
                    Happening::Join { worker, pool, slots } => Event::WorkerJoined {
                        worker: WorkerId((worker % 16).into()),
                        pool: PoolId((pool % 4).into()),
                        slots: slots.into(),
                        buckets: (0..4).filter(|bit| slots >> (bit + 4) & 1 == 1).map(BucketId).collect(),
                        owner: (worker % 3 == 0).then(|| OwnerId((slots % 4).into())),
                    },
                    Happening::Bucket {
                        bucket,
                        sort,
                        limit,
                        per,
                    } => Event::BucketDefined {
                        bucket: BucketId((bucket % 4).into()),
                        quota: quota(sort, limit.into(), Duration::from_micros(per.into())),
                        costs: vec![(KindId((sort % 4).into()), bucket.into())],
                    },
                    Happening::Report {
                        which,
                        bucket,
                        remaining,
                        resets,
                    } => {
                        let Some((attempt, worker)) = running.get(which as usize % running.len().max(1)) else {
                            continue;
                        };
                        Event::QuotaReported {
                            worker: *worker,
                            attempt: *attempt,
                            bucket: BucketId((bucket % 4).into()),
                            report: Report {
                                remaining,
                                resets_in: Duration::from_micros(resets.into()),
                            },
                        }
                    }
                    Happening::Left { worker } => Event::WorkerLeft {
                        worker: WorkerId((worker % 16).into()),
                    },
                    Happening::Drain { worker } => Event::WorkerDrained {
                        worker: WorkerId((worker % 16).into()),
                    },
                    Happening::Readmit { worker } => Event::WorkerReadmitted {
                        worker: WorkerId((worker % 16).into()),
                    },
                    Happening::Submit {
                        kind,
                        priority,
                        attempts,
                        deadline,
                    } => {
                        let action = ActionId(last);
                        last += 1;
                        open.insert(action);
                        let spec = Spec {
                            task: TaskId(1),
                            kind: KindId((kind % 4).into()),
                            priority,
                            attempts: attempts.into(),
                            deadline: match deadline {
                                0 => Moment::NEVER,
                                ms => now + Duration::from_millis(ms.into()),
                            },
                            idempotent: attempts % 2 == 0,
                        };
                        Event::Submitted { action, spec }
                    }
                    Happening::Cancel { action } => Event::Cancelled {
                        action: ActionId(action.into()),
                    },
                    Happening::Ended { which, end: how, wait } => {
                        if running.is_empty() {
                            continue;
                        }
                        let (attempt, worker) = running.swap_remove(which as usize % running.len());
                        let took = Duration::from_micros(wait.into());
                        Event::AttemptEnded {
                            attempt,
                            worker,
                            end: end(how, wait),
                            took,
                        }
                    }
                    Happening::Invented {
                        action,
                        number,
                        worker,
                        end: how,
                    } => Event::AttemptEnded {
                        attempt: AttemptId {
                            action: ActionId(action.into()),
                            number: number.into(),
                        },
                        worker: WorkerId(worker.into()),
                        end: end(how, 0),
                        took: Duration::ZERO,
                    },
                    Happening::DrainAll => Event::DrainBegun,
                    Happening::Wait { ms } => {
                        now = now + Duration::from_millis(ms.into());
                        Event::Tick
                    }
                };
                scheduler.handle(now, event, &mut commands);
                for command in commands.drain(..) {
                    match command {
                        Command::Assign { attempt, worker } => {
                            assert!(open.contains(&attempt.action), "{attempt} of nothing that is open");
                            running.push((attempt, worker));
                        }
                        Command::Settle { action, .. } => assert!(open.remove(&action), "{action} is settled twice"),
                        Command::Stop { .. }
                        | Command::Hedge { .. }
                        | Command::Retry { .. }
                        | Command::Barred { .. }
                        | Command::HealthChanged { .. }
                        | Command::Judged { .. }
                        | Command::Systemic { .. } => {}
                    }
                }
                assert_eq!(scheduler.open(), open.len());
            }
        });
}
