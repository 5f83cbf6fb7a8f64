//! Functions as workers and as operations.

use std::{
    collections::BTreeSet,
    io::{Cursor, Read},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use disperse::{
    Action, Attempt, Event, Failure, FailureClass, Health, Limits, Operation, Policy, Pool, Quota, Reason, Refusal,
    Task,
};
use futures::future::join_all;

use super::{Alive, FinishedRun, go, host, square, until, worker};
use crate::support::{body, masked_snapshot, snapshot};

/// A pool whose result is the payload.
fn echo() -> Pool {
    Pool::native("echo", |attempt: Attempt| async move { Ok(attempt.payload().clone()) }).workers(2)
}

/// An operation of one task.
fn once<T, R>(run: impl Fn(Task) -> T + Send + Sync + 'static) -> Operation
where
    T: Future<Output = Result<R, disperse::TaskError>> + Send + 'static,
    R: Into<Bytes>,
{
    Operation::native([Bytes::new()], run)
}

#[test]
fn failed_native_attempt_is_retried_on_another_worker() {
    let made = Arc::new(Mutex::new(BTreeSet::new()));
    let finished = FinishedRun::by(|| {
        let made = made.clone();
        let pool = Pool::native("local", move |attempt: Attempt| {
            let made = made.clone();
            async move {
                let worker = attempt.worker().to_owned();
                made.lock()
                    .unwrap()
                    .insert((attempt.action(), attempt.number(), worker.clone()));
                if worker == "local/1" {
                    return Err(Failure::retryable("not here"));
                }
                Ok([b"done ", &attempt.payload()[..]].concat())
            }
        });
        host()
            .run(Operation::lines("line"))
            .pool(pool.workers(2))
            .input(Cursor::new("a\nb\nc\nd\n"))
    });
    assert_eq!(finished.outputs(), ["done a\n", "done b\n", "done c\n", "done d\n"]);
    assert!(finished.summary.is_success());
    let failed = finished.seen(|event| match event {
        Event::AttemptFailed {
            worker, class, message, ..
        } => Some((worker.clone(), *class, message.clone())),
        _ => None,
    });
    assert!(!failed.is_empty());
    let not_here = ("local/1".to_owned(), FailureClass::Transient, "not here".to_owned());
    assert!(failed.iter().all(|one| *one == not_here), "{failed:?}");
    // Every failed action was retried, by the other worker.
    let made = made.lock().unwrap();
    for (action, number, worker) in made.iter().filter(|(.., worker)| worker == "local/1") {
        let next = (*action, number + 1, "local/2".to_owned());
        assert!(
            made.contains(&next),
            "{worker} failed action {action}, and then: {made:?}"
        );
    }
}

#[test]
fn component_and_function_workers_serve_one_kind() {
    let broken = worker("broken", body::TRAP);
    let finished = FinishedRun::by(|| {
        host()
            .run(Operation::lines("line"))
            .pool(Pool::component("broken", &broken).kind("line").workers(1))
            .pool(echo().kind("line"))
            .input(Cursor::new("a\nb\nc\n"))
    });
    assert_eq!(finished.outputs(), ["a\n", "b\n", "c\n"]);
    assert!(finished.summary.is_success());
}

#[test]
fn native_operation_uses_component_workers() {
    let finished = FinishedRun::by(|| {
        let numbers = (0..50).map(|number| number.to_string());
        let operation = Operation::native(numbers, |task: Task| async move {
            let number: u64 = std::str::from_utf8(task.input())?.parse()?;
            let square = |number: u64| task.perform(Action::new("square", number.to_string()));
            let squares = join_all((number..number + 10).map(square)).await;
            let mut sum = 0;
            for square in squares {
                sum += std::str::from_utf8(&square?)?.parse::<u64>()?;
            }
            Ok(format!("{number} {sum}"))
        });
        host()
            .run(operation)
            .pool(Pool::component("squares", &square()).workers(2))
            .ordered(true)
    });
    let sums = (0..50u64).map(|n| format!("{n} {}", (n..n + 10).map(|n| n * n).sum::<u64>()));
    assert_eq!(finished.outputs(), sums.collect::<Vec<_>>());
    assert_eq!(finished.summary.kinds[0].done, 500);
}

#[test]
fn inputs_may_arrive_later() {
    go(async {
        let (to_run, inputs) = tokio::sync::mpsc::unbounded_channel::<&str>();
        let inputs = futures::stream::unfold(inputs, async |mut inputs| Some((inputs.recv().await?, inputs)));
        let operation = Operation::native_stream(inputs, |task: Task| async move {
            task.output(task.input().clone()).await;
            Ok(task.id().to_string())
        });
        let mut run = host().run(operation).pool(echo()).start().unwrap();
        for (input, number) in [("a", "1"), ("b", "2")] {
            // The run has no work before.
            to_run.send(input).unwrap();
            let mut written = Vec::new();
            while written.len() < 2 {
                if let Event::Output { bytes, .. } = run.next().await.unwrap() {
                    written.push(bytes);
                }
            }
            assert_eq!(written, [input, number]);
        }
        drop(to_run);
        assert_eq!(FinishedRun::of(run).await.summary.tasks_done, 2);
    });
}

#[test]
fn panic_ends_only_its_attempt_or_task() {
    let finished = FinishedRun::by(|| {
        let pool = Pool::native("careless", |attempt: Attempt| {
            // Before it returns a future, and within the future.
            assert_ne!(&attempt.payload()[..], b"early", "too early");
            async move {
                assert_ne!(&attempt.payload()[..], b"late", "too late");
                Ok(attempt.payload().clone())
            }
        });
        let operation = Operation::native(["early", "late", "fine", "own"], |task: Task| async move {
            assert_ne!(&task.input()[..], b"own", "its own");
            Ok(task.perform(Action::new("", task.input().clone())).await?)
        });
        host()
            .run(operation)
            .pool(pool.workers(2))
            .policy(Policy::default().attempts(2))
    });
    assert_eq!(finished.outputs(), ["fine"]);
    let mut errors = finished.seen(|event| match event {
        Event::TaskEnded {
            task,
            error: Some(error),
            ..
        } => Some((*task, error.clone())),
        _ => None,
    });
    errors.sort();
    assert_eq!(errors.iter().map(|(task, _)| *task).collect::<Vec<_>>(), [1, 2, 4]);
    let errors: Vec<_> = errors.into_iter().map(|(_, error)| error).collect();
    masked_snapshot("tasks_and_attempts_that_panic", &errors.join("\n"));
    let classes = finished.seen(|event| match event {
        Event::AttemptFailed { class, .. } => Some(*class),
        _ => None,
    });
    assert_eq!(classes, [FailureClass::Trap; 4]);
}

#[test]
fn inputs_that_panic_end_the_run() {
    let finished = FinishedRun::by(|| {
        let inputs = (0..3).map(|number| {
            assert!(number < 2, "no more");
            number.to_string()
        });
        let operation = Operation::native(inputs, |task: Task| async move { Ok(task.input().clone()) });
        host().run(operation).pool(echo())
    });
    let failure = finished.summary.failure.unwrap();
    snapshot("inputs_that_panic", &failure);
}

#[test]
fn timed_out_attempt_is_dropped() {
    let alive = Alive::default();
    let finished = FinishedRun::by(|| {
        let alive = alive.clone();
        let pool = Pool::native("slow", move |_: Attempt| alive.for_ever::<Result<Bytes, Failure>>());
        let timeout = Limits::default().timeout(Duration::from_millis(20));
        host()
            .run(Operation::lines("line"))
            .pool(pool.workers(2).limits(timeout))
            .input(Cursor::new("x\n"))
            .policy(Policy::default().attempts(2))
    });
    assert_eq!(alive.count(), 0);
    let failed = finished.seen(|event| match event {
        Event::AttemptFailed { class, message, .. } => Some((*class, message.clone())),
        _ => None,
    });
    let late = (FailureClass::Transient, "was not done within 20ms".to_owned());
    assert_eq!(failed, [late.clone(), late]);
}

#[test]
fn blocked_attempt_is_retried_elsewhere_and_its_worker_stays_busy() {
    let (to_worker, wait) = std::sync::mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let finished = go(async {
        let pool = Pool::native("p", move |attempt: Attempt| {
            let wait = wait.clone();
            async move {
                if attempt.worker() == "p/1" {
                    // Blocks its thread until the run is over.
                    let _ = wait.lock().unwrap().recv();
                }
                Ok(attempt.payload().clone())
            }
        });
        let timeout = Limits::default().timeout(Duration::from_millis(20));
        let lines: String = (0..100).map(|line| format!("{line}\n")).collect();
        let run = host()
            .run(Operation::lines("line"))
            .pool(pool.workers(2).limits(timeout))
            .input(Cursor::new(lines));
        let finished = FinishedRun::of(run.start().unwrap()).await;
        drop(to_worker);
        finished
    });
    assert_eq!(finished.summary.tasks_done, 100);
    let failed = finished.seen(|event| match event {
        Event::AttemptFailed { worker, message, .. } => Some((worker.clone(), message.clone())),
        _ => None,
    });
    let [(worker, message)] = &failed[..] else {
        panic!("{failed:?}")
    };
    assert_eq!(worker, "p/1");
    snapshot("an_attempt_that_cannot_be_interrupted", message);
}

#[test]
fn a_task_may_wait_for_actions_by_blocking() {
    let finished = FinishedRun::by(|| {
        let operation = once(|task: Task| async move {
            let here = tokio::runtime::Handle::current();
            let blocking = task.clone();
            let first = tokio::task::block_in_place(|| here.block_on(blocking.perform(Action::new("", "a"))))?;
            let elsewhere = std::thread::spawn(move || here.block_on(task.perform(Action::new("", "b"))));
            let second = tokio::task::block_in_place(|| elsewhere.join()).map_err(|_| "it panicked")??;
            Ok([first, second].concat())
        });
        host().run(operation).pool(echo())
    });
    assert_eq!(finished.outputs(), ["ab"]);
}

#[test]
fn error_of_a_task_includes_its_sources() {
    #[derive(Debug, thiserror::Error)]
    #[error("the page cannot be had")]
    struct Page(#[source] std::io::Error);
    let finished = FinishedRun::by(|| {
        let operation = once(|_| async {
            let error = std::io::Error::other("the line is dead");
            Err::<Bytes, _>(Page(error).into())
        });
        host().run(operation).pool(echo())
    });
    let errors = finished.seen(|event| match event {
        Event::TaskEnded { error, .. } => error.clone(),
        _ => None,
    });
    assert_eq!(errors, ["the page cannot be had: the line is dead"]);
}

/// Endless lines, until a flag is set.
struct Lines(Arc<AtomicBool>);

impl Read for Lines {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.0.load(Ordering::SeqCst) {
            return Ok(0);
        }
        (&b"line\n"[..]).read(into)
    }
}

#[test]
fn worker_that_fails_what_others_complete_is_evicted_by_policy() {
    let summary = go(async {
        let pool = Pool::native("p", |attempt: Attempt| async move {
            match attempt.worker() {
                "p/1" => Err(Failure::retryable("broken")),
                _ => Ok(attempt.payload().clone()),
            }
        });
        let policy = Policy::default()
            .evict_after(1)
            .quarantine(Duration::from_millis(1))
            .quarantine_score(1.0)
            .suspect_after(100);
        let enough = Arc::new(AtomicBool::new(false));
        let run = host()
            .run(Operation::lines("line"))
            .pool(pool.workers(3))
            .policy(policy)
            .input(Lines(enough.clone()));
        let mut run = run.start().unwrap();
        while let Some(event) = run.next().await {
            if matches!(
                event,
                Event::HealthChanged {
                    health: Health::Evicted,
                    ..
                }
            ) {
                enough.store(true, Ordering::SeqCst);
            }
        }
        run.finish().await.unwrap()
    });
    assert_eq!(summary.tasks_failed, 0);
    let health: Vec<_> = summary.workers.iter().map(|worker| worker.health).collect();
    assert_eq!(health, [Health::Evicted, Health::Healthy, Health::Healthy]);
}

#[test]
fn untrusted_result_needs_two_owners_that_agree() {
    let finished = FinishedRun::by(|| {
        let pool = Pool::component("strangers", &square()).untrusted(true);
        let owned = |name: &str, owner: &str| disperse::Worker::new(name).owner(owner);
        let pool = pool
            .worker(owned("a", "ann"))
            .worker(owned("b", "ann"))
            .worker(owned("c", "cy"));
        host()
            .run(Operation::lines("square"))
            .pool(pool)
            .input(Cursor::new("1\n2\n3\n4\n"))
            .ordered(true)
    });
    assert_eq!(finished.outputs(), ["1\n", "4\n", "9\n", "16\n"]);
    let attempts: Vec<_> = finished.summary.workers.iter().map(|worker| worker.attempts).collect();
    // Each of the four was completed for Ann, by one of her workers, and for Cy.
    assert_eq!((attempts[0] + attempts[1], attempts[2]), (4, 4), "{attempts:?}");
}

#[test]
fn events_report_the_run_name_and_hedged_attempts() {
    let finished = FinishedRun::by(|| {
        let operation = Operation::native((0..100).map(|n| n.to_string()), |task: Task| async move {
            let action = Action::new("k", task.input().clone()).idempotent(true);
            Ok(task.perform(action).await?)
        });
        let pool = Pool::native("p", |attempt: Attempt| async move {
            if attempt.worker() == "p/1" {
                std::future::pending::<()>().await;
            }
            Ok(attempt.key())
        });
        host().run(operation).pool(pool.workers(3))
    });
    assert_eq!((finished.summary.tasks_done, finished.summary.tasks_failed), (100, 0));
    let Some(Event::Started { run, .. }) = finished.events.first() else {
        panic!("it begins with {:?}", finished.events.first());
    };
    assert!(
        finished.outputs().iter().all(|key| key.starts_with(run)),
        "each key begins with {run}"
    );
    let hedged = finished.seen(|event| match event {
        Event::Hedged {
            action, attempt, kind, ..
        } => Some((*action, *attempt, kind.clone())),
        _ => None,
    });
    let (action, attempt, kind) = hedged.first().expect("one is hedged");
    assert!((1..=100).contains(action) && *attempt == 1 && kind == "k", "{hedged:?}");
}

#[test]
fn events_report_outvoted_and_joining_workers() {
    go(async {
        let pool = |name: &str, handle: &str| {
            Pool::component(name, &worker(name, handle))
                .kind("line")
                .untrusted(true)
        };
        let enough = Arc::new(AtomicBool::new(false));
        let run = host()
            .run(Operation::lines("line"))
            .pool(pool("honest", body::ECHO).workers(3))
            .pool(pool("liar", &body::large(10)).workers(1))
            .input(Lines(enough.clone()));
        let mut run = run.start().unwrap();
        let control = run.control();
        let joins = tokio::spawn(async move { control.add_workers("honest", 1).await });
        let (mut outvoted, mut joined) = (false, false);
        while let Some(event) = run.next().await {
            match event {
                Event::Outvoted { worker, message, .. } => {
                    assert_eq!(worker, "liar/1");
                    assert!(
                        message.starts_with("its result of 10 bytes is not the one of "),
                        "{message}"
                    );
                    outvoted = true;
                }
                Event::WorkerJoined { worker, pool, .. } => {
                    assert_eq!((worker.as_str(), pool.as_str()), ("honest/4", "honest"));
                    joined = true;
                }
                _ => {}
            }
            enough.store(outvoted && joined, Ordering::SeqCst);
        }
        assert_eq!(joins.await.unwrap().unwrap(), "honest/4 has joined");
        run.finish().await.unwrap();
    });
}

#[test]
fn function_worker_reports_its_remaining_quota() {
    const WAIT: Duration = Duration::from_millis(300);
    let begun = Arc::new(Mutex::new(Vec::new()));
    let finished = FinishedRun::by(|| {
        let begun = begun.clone();
        let pool = Pool::native("p", move |attempt: Attempt| {
            begun.lock().unwrap().push(Instant::now());
            async move {
                if attempt.action() == 1 {
                    attempt.report_quota("hourly", 0, WAIT);
                }
                Ok(attempt.payload().clone())
            }
        });
        // Without the report plenty of quota would be left.
        let quota = Quota::window(1000, Duration::from_secs(3600)).name("hourly");
        host()
            .run(Operation::lines("line"))
            .pool(pool.workers(1).quota(quota).quota(Quota::concurrent(1)))
            .input(Cursor::new("1\n2\n"))
    });
    assert_eq!(finished.summary.tasks_done, 2);
    let begun = begun.lock().unwrap();
    let waited = begun[1] - begun[0];
    assert!(waited >= WAIT, "{waited:?}");
}

#[test]
fn attempt_has_its_context() {
    let finished = FinishedRun::by(|| {
        let pool = Pool::native("p", |attempt: Attempt| async move {
            assert!(attempt.remaining() <= Duration::from_secs(5));
            let (action, number, kind) = (attempt.action(), attempt.number(), attempt.kind());
            if number == 1 {
                return Err(Failure::Busy(Duration::from_millis(1)));
            }
            Ok(format!("{} {action}.{number} {kind}", attempt.worker()))
        });
        let operation = once(|task: Task| async move {
            let action = Action::new("k", "x")
                .timeout(Duration::from_secs(5))
                .priority(1)
                .attempts(2)
                .idempotent(true);
            Ok(task.perform(action.deadline(Duration::from_secs(60))).await?)
        });
        host()
            .run(operation)
            .pool(pool.kind("k").worker(disperse::Worker::new("w")))
    });
    assert_eq!(finished.outputs(), ["p/w 1.2 k"]);
}

#[test]
fn unfit_worker_is_evicted_and_oversize_result_fails() {
    let finished = FinishedRun::by(|| {
        let pool = Pool::native("p", |attempt: Attempt| async move {
            match (attempt.worker(), attempt.kind()) {
                ("p/1", _) => Err(Failure::unfit("revoked")),
                (_, "large") => Ok(vec![b'x'; 2000]),
                _ => Ok(Vec::new()),
            }
        });
        let operation = once(|task: Task| async move {
            // One for each worker. The other worker completes both, which proves that the first is unfit.
            let both = join_all((0..2).map(|_| task.perform(Action::new("small", "")))).await;
            assert!(both.iter().all(Result::is_ok), "{both:?}");
            let large = task.perform(Action::new("large", "")).await;
            Ok(large.unwrap_err().reason.to_string())
        });
        host()
            .run(operation)
            .pool(pool.workers(2).limits(Limits::default().result_size(1000)))
    });
    assert_eq!(finished.outputs(), ["oversize"]);
    let evicted = finished.seen(|event| match event {
        Event::HealthChanged {
            worker,
            health: Health::Evicted,
            ..
        } => Some(worker.clone()),
        _ => None,
    });
    assert_eq!(evicted, ["p/1"]);
    let health: Vec<_> = finished.summary.workers.iter().map(|worker| worker.health).collect();
    assert_eq!(health, [Health::Evicted, Health::Healthy]);
}

#[test]
fn quotas_apply_to_function_workers() {
    let (now, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let finished = FinishedRun::by(|| {
        let (now, most) = (now.clone(), most.clone());
        let pool = Pool::native("p", move |attempt: Attempt| {
            let (now, most) = (now.clone(), most.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(attempt.payload().clone())
            }
        });
        let lines: String = (0..100).map(|line| format!("{line}\n")).collect();
        host()
            .run(Operation::lines("line"))
            .pool(pool.workers(1).concurrency(8).quota(Quota::concurrent(2)))
            .input(Cursor::new(lines))
    });
    assert_eq!(finished.summary.tasks_done, 100);
    assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
}

#[test]
fn action_whose_handle_is_dropped_is_cancelled() {
    let alive = Alive::default();
    let finished = FinishedRun::by(|| {
        let in_task = alive.clone();
        let in_pool = alive.clone();
        let pool = Pool::native("slow", move |_: Attempt| in_pool.for_ever::<Result<Bytes, Failure>>());
        let operation = once(move |task: Task| {
            let alive = in_task.clone();
            async move {
                tokio::select! {
                    _ = task.perform(Action::new("slow", "")) => panic!("it cannot end"),
                    () = until(|| alive.count() == 1) => {}
                }
                until(|| alive.count() == 0).await;
                Ok("cancelled")
            }
        });
        host().run(operation).pool(pool.kind("slow").workers(1))
    });
    assert_eq!(finished.outputs(), ["cancelled"]);
}

#[test]
fn handle_that_outlives_its_task_returns_an_error() {
    go(async {
        let (to_test, kept) = tokio::sync::oneshot::channel();
        let to_test = Arc::new(Mutex::new(Some(to_test)));
        let operation = once(move |task: Task| {
            let waiting = tokio::spawn({
                let task = task.clone();
                async move { task.perform(Action::new("slow", "")).await }
            });
            let kept = to_test.lock().unwrap().take().unwrap().send((task, waiting));
            async move { kept.map(|()| "done").map_err(|_| "the test is over".into()) }
        });
        let alive = Alive::default();
        let pool = Pool::native("slow", move |_: Attempt| alive.for_ever::<Result<Bytes, Failure>>());
        let run = host().run(operation).pool(pool.workers(1)).start().unwrap();
        let (task, waiting) = kept.await.unwrap();
        let finished = FinishedRun::of(run).await;
        assert_eq!(finished.outputs(), ["done"]);
        let refused = |refusal: Refusal| assert_eq!(refusal.reason, Reason::Cancelled, "{refusal}");
        refused(waiting.await.unwrap().unwrap_err());
        refused(task.perform(Action::new("slow", "")).await.unwrap_err());
    });
}

#[test]
fn kind_without_a_pool_is_an_error() {
    let finished = FinishedRun::by(|| {
        let operation = once(|task: Task| async move {
            let refusal = task.perform(Action::new("other", "")).await.unwrap_err();
            assert_eq!(refusal.reason, Reason::Unroutable);
            Ok(refusal.to_string())
        });
        host().run(operation).pool(echo().kind("echo"))
    });
    let output = finished.outputs().concat();
    snapshot("a_kind_that_no_pool_serves", &output);
}
