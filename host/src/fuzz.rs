//! Whatever comes in from outside is read without a panic: mutated manifests, components and rules, and events in any order.
//!
//! A short run is part of every `cargo test`. A long one:
//!
//! ```sh
//! BOLERO_RANDOM_TEST_TIME_MS=600000 cargo test --profile ci --workspace --lib fuzz::
//! ```
//! `cargo bolero test --engine libfuzzer fuzz::components`, from the package cargo-bolero, is led by coverage. What it finds goes
//! beside the seeds below.

use std::{collections::BTreeSet, time::Duration};

use bolero::{TypeGenerator, check};
use disperse_scheduler::{
    ActionId, AttemptId, BucketId, Command, End, Event, KindId, Moment, OwnerId, Policy, PoolId, Quota, Report,
    Scheduler, Spec, TaskId, WorkerId,
};

use crate::{
    grants::ExecRule,
    sandbox::{Use, inspect_here, misspelt},
    settings::Manifest,
    units::{Fuel, Size, Time},
};

/// How long each runs, unless the environment says otherwise.
const TIME: Duration = Duration::from_secs(2);

/// What is done to a seed.
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
        // Scaled, so that every byte of a large seed can be met.
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
    let readme = std::fs::read_to_string(format!("{root}/README.md")).unwrap();
    let (_, manifest) = readme.split_once("```toml\n[operation]").unwrap();
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
fn components() {
    let worker = include_str!("../../tests/guests/worker.wat");
    let worker = worker.replace("{HANDLE}", "unreachable").replace("{EXPORT}", "handle");
    let mut operation = include_str!("../../tests/guests/operation.wat").to_owned();
    for name in ["{NEXT}", "{RUN}", "{COLLECT}", "{FINISH}"] {
        operation = operation.replace(name, "");
    }
    let nested = "(component (core module (@producers (language \"C11\" \"\") (processed-by \"clang\" \"21\"))))";
    let texts = [&worker, &operation, "(component)", "(module)", nested];
    let seeds: Vec<_> = texts.iter().map(|text| wat::parse_str(text).unwrap()).collect();
    for seed in &seeds[..2] {
        inspect_here(seed).unwrap().contract().unwrap();
    }
    mutations(&seeds);
}

#[test]
fn core_modules() {
    let texts = [
        include_str!("../../tests/guests/program.wat"),
        include_str!("../../tests/guests/reactor.wat"),
        "(module)",
    ];
    let seeds: Vec<_> = texts.iter().map(|text| wat::parse_str(text).unwrap()).collect();
    for seed in &seeds[..2] {
        inspect_here(seed).unwrap().contract().unwrap();
    }
    mutations(&seeds);
}

fn mutations(seeds: &[Vec<u8>]) {
    check!()
        .with_type::<(u8, Vec<Edit>)>()
        .with_test_time(TIME)
        .with_iterations(usize::MAX)
        .for_each(|(which, edits)| inspected(&mutated(seeds, *which, edits)));
}

/// Whatever is in a file, inspecting it ends in words or in an answer of a bounded size.
fn inspected(bytes: &[u8]) {
    let inspection = match inspect_here(bytes) {
        Ok(inspection) => inspection,
        Err(error) => {
            assert!(
                (1..10_000).contains(&error.to_string().len()) && error.hint().is_some_and(|hint| !hint.is_empty())
            );
            return;
        }
    };
    assert!(serde_json::to_vec(&inspection).unwrap().len() < 8 << 20);
    if let Err(error) = inspection.contract() {
        assert!((1..100_000).contains(&error.to_string().len()));
    }
    let origin = inspection.origin;
    assert!(origin.producers.len() <= 16 && origin.language.is_none_or(|language| !language.is_empty()));
    let _ = misspelt(inspection.shape.exports.keys());
    for import in inspection.shape.imports {
        let _ = Use::of(&import.name);
    }
}

/// A type section, or a nest of components, that is extreme in one way.
#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Extreme {
    /// Component types (or else instance types) in each other.
    Nested { component: bool, deep: u16 },
    /// An enum of names this long.
    Enum { names: u16, length: u8 },
    /// A record of fields of the type before.
    Record { fields: u8 },
    /// Each has the one before several times.
    Tuples { deep: u8, width: u8 },
    /// A function with the type before as its parameters, imported and exported.
    Function { parameters: u8, exports: u16 },
    /// An instance type with a resource and functions, imported.
    Clones { functions: u8, imports: u8 },
    /// Each alias names the type before.
    Aliases { count: u16 },
    /// Components in each other.
    Components { deep: u8 },
}

fn leb(mut number: u32, to: &mut Vec<u8>) {
    while number > 0x7f {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn section(id: u8, content: &[u8], to: &mut Vec<u8>) {
    to.push(id);
    leb(u32::try_from(content.len()).unwrap(), to);
    to.extend(content);
}

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A file with these one after the other. Most are valid, so that it is inspected to its end.
fn extremes(all: &[Extreme]) -> Vec<u8> {
    use wasm_encoder::{
        Alias, ComponentAliasSection, ComponentExportKind, ComponentExportSection, ComponentImportSection,
        ComponentOuterAliasKind, ComponentTypeRef, ComponentTypeSection, ComponentValType, InstanceType,
        PrimitiveValType, TypeBounds,
    };
    let mut file = COMPONENT.to_vec();
    // How many there are of each, and which type is the last one of a value.
    let (mut types, mut functions, mut names) = (0u32, 0u32, 0u32);
    let mut last = ComponentValType::Primitive(PrimitiveValType::U8);
    fn put(file: &mut Vec<u8>, section: impl wasm_encoder::ComponentSection) {
        section.append_to_component(file);
    }
    // The last type again, with the name that it needs to be one of a function.
    let named = |file: &mut Vec<u8>, types: &mut u32| {
        let mut imports = ComponentImportSection::new();
        let name = format!("t{types}");
        imports.import(name.as_str(), ComponentTypeRef::Type(TypeBounds::Eq(*types)));
        put(file, imports);
        *types += 2;
        ComponentValType::Type(*types - 1)
    };
    for extreme in all.iter().take(8) {
        match *extreme {
            Extreme::Nested { component, deep } => {
                let opens: &[u8] = if component { b"\x41\x01\x01" } else { b"\x42\x01\x01" };
                let content = [b"\x01", &*opens.repeat(deep.into()), b"\x42\x00"].concat();
                section(7, &content, &mut file);
                types += 1;
            }
            Extreme::Enum { names, length } => {
                let names = (0..names.max(1)).map(|n| format!("a{n}{}", "b".repeat(length.into())));
                let names: Vec<_> = names.collect();
                let mut section = ComponentTypeSection::new();
                section.defined_type().enum_type(names.iter().map(String::as_str));
                put(&mut file, section);
                last = named(&mut file, &mut types);
            }
            Extreme::Record { fields } => {
                let names: Vec<_> = (0..fields.max(1)).map(|n| format!("f{n}")).collect();
                let mut section = ComponentTypeSection::new();
                section
                    .defined_type()
                    .record(names.iter().map(|name| (name.as_str(), last)));
                put(&mut file, section);
                last = named(&mut file, &mut types);
            }
            Extreme::Tuples { deep, width } => {
                let mut section = ComponentTypeSection::new();
                for _ in 0..deep % 20 {
                    section.defined_type().tuple(vec![last; usize::from(width).max(1)]);
                    last = ComponentValType::Type(types);
                    types += 1;
                }
                put(&mut file, section);
            }
            Extreme::Function { parameters, exports } => {
                let params: Vec<_> = (0..parameters).map(|n| (format!("p{n}"), last)).collect();
                let mut section = ComponentTypeSection::new();
                let mut function = section.function();
                function.params(params.iter().map(|(name, ty)| (name.as_str(), *ty)));
                function.result(None);
                put(&mut file, section);
                let mut imports = ComponentImportSection::new();
                imports.import(&format!("n{names}"), ComponentTypeRef::Func(types));
                put(&mut file, imports);
                let mut section = ComponentExportSection::new();
                for n in 0..exports % 2000 {
                    let name = format!("e{names}-x{n}");
                    section.export(name.as_str(), ComponentExportKind::Func, functions, None);
                }
                put(&mut file, section);
                (types, names, functions) = (types + 1, names + 1, functions + 1 + u32::from(exports % 2000));
            }
            Extreme::Clones { functions, imports } => {
                let mut ty = InstanceType::new();
                ty.export("r", ComponentTypeRef::Type(TypeBounds::SubResource));
                ty.ty().defined_type().borrow(0);
                let borrow = ComponentValType::Type(1);
                ty.ty().function().params([("x", borrow)]).result(None);
                for n in 0..functions {
                    ty.export(format!("f{n}").as_str(), ComponentTypeRef::Func(2));
                }
                let mut section = ComponentTypeSection::new();
                section.instance(&ty);
                put(&mut file, section);
                let mut section = ComponentImportSection::new();
                for _ in 0..imports {
                    section.import(&format!("n{names}"), ComponentTypeRef::Instance(types));
                    names += 1;
                }
                put(&mut file, section);
                types += 1;
            }
            Extreme::Aliases { count } if types > 0 => {
                let mut section = ComponentAliasSection::new();
                for _ in 0..count {
                    section.alias(Alias::Outer {
                        kind: ComponentOuterAliasKind::Type,
                        count: 0,
                        index: types - 1,
                    });
                    types += 1;
                }
                put(&mut file, section);
            }
            Extreme::Aliases { .. } => {}
            Extreme::Components { deep } => {
                let mut within = COMPONENT.to_vec();
                for _ in 0..deep {
                    let mut around = COMPONENT.to_vec();
                    section(4, &within, &mut around);
                    within = around;
                }
                section(4, &within, &mut file);
            }
        }
    }
    file
}

#[test]
fn extreme_shapes() {
    let valid = [
        Extreme::Nested {
            component: false,
            deep: 50,
        },
        Extreme::Enum { names: 9, length: 9 },
        Extreme::Record { fields: 3 },
        Extreme::Tuples { deep: 3, width: 3 },
        Extreme::Function {
            parameters: 3,
            exports: 9,
        },
        Extreme::Clones {
            functions: 9,
            imports: 9,
        },
        Extreme::Aliases { count: 9 },
        Extreme::Components { deep: 9 },
    ];
    let shape = inspect_here(&extremes(&valid)).unwrap().shape;
    assert_eq!((shape.imports.len(), shape.exports.len()), (10, 9));
    check!()
        .with_type::<Vec<Extreme>>()
        .with_test_time(TIME)
        .with_iterations(usize::MAX)
        .for_each(|all| inspected(&extremes(all)));
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
            // What can be read is written so that it is read as the same.
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

/// An event with small numbers, so that it often means something, and often something that cannot be.
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
    /// An attempt that was assigned, or if there are none one that never was.
    Ended {
        which: u8,
        end: u8,
        wait: u32,
    },
    /// An attempt that may never have been.
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
                        | Command::HealthChanged { .. }
                        | Command::Judged { .. }
                        | Command::Systemic { .. } => {}
                    }
                }
                assert_eq!(scheduler.open(), open.len());
            }
        });
}
