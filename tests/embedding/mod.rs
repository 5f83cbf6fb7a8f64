//! The host as a library, as seen by a program that embeds it.

mod ends;
mod folders;
mod native;
mod programs;
mod start;

use std::{
    fmt::Debug,
    future::Future,
    io::Cursor,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use disperse::{Component, Event, Host, Limits, Operation, Policy, Pool, Run, RunBuilder, Summary};

use crate::support::{Folder, beside, body, snapshot, wasm};

/// The deadline of every operation. Only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(60);

/// The one host of these tests: an engine takes much address space.
fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| Host::builder().build().unwrap())
}

fn square() -> Component {
    static SQUARE: OnceLock<Component> = OnceLock::new();
    let open = || Component::open(host(), wasm("square")).unwrap();
    SQUARE.get_or_init(open).clone()
}

/// A worker with this body; see `guests/worker.wat`.
fn worker(name: &str, handle: &str) -> Component {
    Component::open(host(), Folder::new().worker(&format!("{name}.wasm"), handle)).unwrap()
}

/// Runs a future on a runtime, under a deadline.
fn go<T>(work: impl Future<Output = T>) -> T {
    let _beside = beside();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(DEADLINE, work).await.expect("it hangs") })
}

/// Waits until a condition holds.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// All events of a run, and its summary.
struct FinishedRun {
    events: Vec<Event>,
    summary: Summary,
}

impl FinishedRun {
    async fn of(mut run: Run) -> Self {
        let mut events = Vec::new();
        while let Some(event) = run.next().await {
            events.push(event);
        }
        let summary = run.finish().await.unwrap();
        Self { events, summary }
    }

    /// Runs to the end.
    fn by(build: impl FnOnce() -> RunBuilder) -> Self {
        go(async { Self::of(build().start().unwrap()).await })
    }

    /// The pieces of the output, in the order of the tasks.
    fn outputs(&self) -> Vec<String> {
        let piece = |event: &Event| match event {
            Event::Output { task, bytes, .. } => Some((*task, String::from_utf8(bytes.to_vec()).unwrap())),
            _ => None,
        };
        let mut pieces: Vec<_> = self.events.iter().filter_map(piece).collect();
        pieces.sort();
        pieces.into_iter().map(|(_, text)| text).collect()
    }

    /// The values that a filter maps events to.
    fn seen<T: Debug>(&self, what: impl FnMut(&Event) -> Option<T>) -> Vec<T> {
        self.events.iter().filter_map(what).collect()
    }
}

/// Counts its live values.
#[derive(Clone, Default)]
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn one(&self) -> Self {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.clone()
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// A future that counts as alive until it is dropped and never completes.
    fn for_ever<T>(&self) -> impl Future<Output = T> + Send + 'static + use<T>
    where
        T: Send + 'static,
    {
        struct Life(Alive);
        impl Drop for Life {
            fn drop(&mut self) {
                self.0.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let life = Life(self.one());
        async move {
            let _life = life;
            std::future::pending().await
        }
    }
}

#[test]
fn component_operation_uses_component_workers() {
    let both = Component::open(host(), wasm("roll_call")).unwrap();
    assert!(both.is_operation() && both.is_worker());
    assert_eq!(both.name(), "roll_call");
    let finished = FinishedRun::by(|| {
        let pool = Pool::component("pupils", &both).workers(2).concurrency(4);
        host().run(Operation::component(&both)).pool(pool).ordered(true)
    });
    assert_eq!(
        finished.outputs(),
        [
            "flowers: aster is here, dahlia is here, lily is excused, rose is here\n",
            "rivers: danube is here, nile is here, rhine is here, volga is here\n",
            "stars: altair is here, rigel is here, sirius is here, vega is here\n",
        ]
    );
    let dead = finished.seen(|event| match event {
        Event::ActionDied { kind, reason, .. } => Some((kind.clone(), reason.to_string())),
        _ => None,
    });
    assert_eq!(dead, [("call".to_owned(), "permanent".to_owned())]);
    let words = finished.seen(|event| match event {
        Event::Log { speaker, text, .. } => Some((speaker.clone(), text.clone())),
        _ => None,
    });
    assert!(words.iter().any(|(speaker, text)| {
        *speaker == Some("task 1".to_owned()) && text.starts_with("lily of flowers is not there")
    }));
    assert!(finished.summary.is_success());
    assert_eq!((finished.summary.tasks_done, finished.summary.workers.len()), (3, 2));
    assert!(
        finished
            .summary
            .kinds
            .iter()
            .any(|kind| kind.kind == "excuse" && kind.done == 1)
    );
}

#[test]
fn operation_receives_its_arguments_and_its_input() {
    let word_count = Component::open(host(), wasm("word_count")).unwrap();
    let finished = FinishedRun::by(|| {
        host()
            .run(Operation::component(&word_count).args(["--top", "1"]))
            .pool(Pool::component("counters", &word_count).workers(2))
            .input(Cursor::new("the cat and the dog\n"))
    });
    let output = finished.outputs().concat();
    assert!(output.contains("1") && output.contains("2 the"), "{output}");
    assert!(finished.summary.is_success());
}

#[test]
fn lines_operation_uses_a_component_worker() {
    let finished = FinishedRun::by(|| {
        host()
            .run(Operation::lines("square").batch(1))
            .pool(Pool::component("squares", &square()).kind("square").workers(1))
            .input(Cursor::new("1\n2\nx\n3"))
            .ordered(true)
    });
    assert_eq!(finished.outputs(), ["1\n", "4\n", "9\n"]);
    let failed = finished.seen(|event| match event {
        Event::TaskEnded {
            task,
            error: Some(error),
            ..
        } => Some((*task, error.clone())),
        _ => None,
    });
    let [(3, error)] = &failed[..] else {
        panic!("{failed:?}")
    };
    snapshot("a_line_that_fails", error);
    assert!(!finished.summary.is_success());
    assert_eq!((finished.summary.tasks_done, finished.summary.tasks_failed), (3, 1));
}

#[test]
fn two_runs_share_a_host() {
    go(async {
        // Each worker waits for the other run's worker, so that sequential runs would hang.
        let both = Arc::new(tokio::sync::Barrier::new(2));
        let run = |name: &'static str| {
            let both = both.clone();
            let native = Pool::native("native", move |attempt: disperse::Attempt| {
                let both = both.clone();
                async move {
                    both.wait().await;
                    Ok(format!("{name} {}", String::from_utf8_lossy(attempt.payload())))
                }
            });
            host()
                .run(Operation::native(["2"], |task: disperse::Task| async move {
                    let ask = |kind: &str| task.perform(disperse::Action::new(kind, task.input().clone()));
                    let (met, squared) = futures::future::join(ask("meet"), ask("square")).await;
                    Ok([met?, squared?].concat())
                }))
                .pool(native.kind("meet").workers(1))
                .pool(Pool::component("squares", &square()).kind("square").workers(1))
                .start()
                .unwrap()
        };
        let (one, other) = (run("one"), run("other"));
        let (one, other) = futures::future::join(FinishedRun::of(one), FinishedRun::of(other)).await;
        assert_eq!(
            (one.outputs(), other.outputs()),
            (vec!["one 24".to_owned()], vec!["other 24".to_owned()])
        );
    });
}

#[test]
fn limits_of_a_pool_hold_for_its_guests() {
    let greedy = worker("greedy", body::GREEDY);
    let finished = FinishedRun::by(|| {
        let pool = Pool::component("greedy", &greedy).workers(1);
        host()
            .run(Operation::lines("line"))
            .pool(pool.limits(Limits::default().memory(1 << 20)))
            .input(Cursor::new("x\n"))
            .policy(Policy::default().attempts(1))
    });
    let failed = finished.seen(|event| match event {
        Event::AttemptFailed {
            worker, class, message, ..
        } => Some((worker.clone(), *class, message.clone())),
        _ => None,
    });
    let [(worker, class, message)] = &failed[..] else {
        panic!("{failed:?}");
    };
    assert_eq!((worker.as_str(), *class), ("greedy/1", disperse::FailureClass::Trap));
    snapshot("a_worker_that_ran_out_of_memory", message);
    assert_eq!(finished.summary.tasks_failed, 1);
}
