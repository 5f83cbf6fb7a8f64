//! Runs that end early, and slow readers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use disperse::{Action, Attempt, ControlError, Event, Failure, Health, Operation, Pool, RunBuilder, RunError, Task};
use tokio::sync::Notify;

use super::{Alive, FinishedRun, go, host, square, until, worker};
use crate::support::{body, snapshot};

/// Endless tasks, each of which writes a word and then waits for an attempt that never ends.
fn stuck(alive: &Alive) -> RunBuilder {
    let in_task = alive.clone();
    let operation = Operation::native(std::iter::repeat("x"), move |task: Task| {
        let alive = in_task.clone();
        async move {
            task.output("begun").await;
            tokio::select! {
                biased;
                () = alive.for_ever() => Ok(Bytes::new()),
                done = task.perform(Action::new("", "")) => Ok(done?),
            }
        }
    });
    let alive = alive.clone();
    let pool = Pool::native("stuck", move |_: Attempt| alive.for_ever::<Result<Bytes, Failure>>());
    host().run(operation).pool(pool.workers(3)).tasks(5)
}

#[test]
fn a_run_is_cancelled_in_the_middle() {
    go(async {
        let alive = Alive::default();
        let mut run = stuck(&alive).start().unwrap();
        let first = run.next().await.unwrap();
        assert!(matches!(first, Event::Started { .. }), "{first:?}");
        let second = run.next().await.unwrap();
        assert!(matches!(second, Event::Output { .. }), "{second:?}");
        // Five tasks and three attempts.
        until(|| alive.count() == 8).await;
        let control = run.control();
        let cancelled = tokio::spawn(async move { control.cancel() });
        let finished = FinishedRun::of(run).await;
        cancelled.await.unwrap();
        assert!(finished.summary.interrupted && !finished.summary.is_success());
        assert_eq!((finished.summary.tasks_done, finished.summary.tasks_undone), (0, 5));
        assert_eq!(finished.outputs(), ["begun"; 4]);
        until(|| alive.count() == 0).await;
    });
}

#[test]
fn dropping_a_run_ends_it() {
    go(async {
        let alive = Alive::default();
        let run = stuck(&alive).start().unwrap();
        until(|| alive.count() == 8).await;
        drop(run);
        until(|| alive.count() == 0).await;
    });
}

#[test]
fn cancelling_stops_a_guest_that_computes_for_ever() {
    let endless = worker("endless", body::ENDLESS);
    go(async {
        let pool = Pool::component("endless", &endless).workers(1);
        let line = std::io::Cursor::new("x\n");
        let run = host()
            .run(Operation::lines("line"))
            .pool(pool)
            .input(line)
            .start()
            .unwrap();
        run.cancel();
        assert!(run.finish().await.unwrap().interrupted);
    });
}

#[test]
fn draining_lets_attempts_end() {
    go(async {
        let (begun, go_on) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
        let (now, wait) = (begun.clone(), go_on.clone());
        let pool = Pool::native("p", move |attempt: Attempt| {
            let (begun, go_on) = (now.clone(), wait.clone());
            async move {
                begun.fetch_add(1, Ordering::SeqCst);
                go_on.notified().await;
                Ok(attempt.payload().clone())
            }
        });
        let operation = Operation::native((0..).map(|number: u64| number.to_string()), |task: Task| async move {
            Ok(task.perform(Action::new("", task.input().clone())).await?)
        });
        let run = host().run(operation).pool(pool.workers(1)).start().unwrap();
        until(|| begun.load(Ordering::SeqCst) == 1).await;
        run.drain();
        go_on.notify_one();
        let finished = FinishedRun::of(run).await;
        assert!(finished.summary.interrupted);
        assert_eq!((finished.outputs().len(), finished.summary.tasks_done), (1, 1));
    });
}

#[test]
fn slow_reader_slows_the_run() {
    // With the overhead of each, 16 of them are 16 MiB.
    const PIECE: usize = (1 << 20) - 256;
    go(async {
        let written = Arc::new(AtomicU64::new(0));
        let count = written.clone();
        let operation = Operation::native([""], move |task: Task| {
            let written = count.clone();
            async move {
                for _ in 0..64 {
                    task.output(vec![0; PIECE]).await;
                    written.fetch_add(1, Ordering::SeqCst);
                }
                Ok("")
            }
        });
        let pool = Pool::native("p", |_: Attempt| async { Ok("") });
        let mut run = host().run(operation).pool(pool.workers(1)).start().unwrap();
        let mut read = 0;
        until(|| written.load(Ordering::SeqCst) == 16).await;
        while let Some(event) = run.next().await {
            if let Event::Output { bytes, .. } = event {
                read += 1;
                assert_eq!(bytes.len(), PIECE);
                assert!(
                    written.load(Ordering::SeqCst) <= read + 16,
                    "no more than 16 MiB are unread"
                );
            }
        }
        assert_eq!(read, 64);
        assert!(run.finish().await.unwrap().is_success());
    });
}

#[test]
fn unread_small_outputs_are_bounded() {
    go(async {
        let written = Arc::new(AtomicU64::new(0));
        let count = written.clone();
        let operation = Operation::native([""], move |task: Task| {
            let written = count.clone();
            async move {
                loop {
                    task.output("x").await;
                    written.fetch_add(1, Ordering::SeqCst);
                }
                #[allow(unreachable_code, reason = "it says what it would return")]
                Ok("")
            }
        });
        let pool = Pool::native("p", |_: Attempt| async { Ok("") });
        let mut run = host().run(operation).pool(pool.workers(1)).start().unwrap();
        let most = (16 << 20) / 257;
        until(|| written.load(Ordering::SeqCst) == most).await;
        for read in 1..1000 {
            assert!(run.next().await.is_some());
            assert!(written.load(Ordering::SeqCst) <= most + read);
        }
    });
}

#[test]
fn draining_keeps_results_until_they_are_read() {
    const TASKS: usize = 24;
    go(async {
        let made = Arc::new(AtomicU64::new(0));
        let count = made.clone();
        let operation = Operation::native([""; TASKS], move |task: Task| {
            let made = count.clone();
            async move {
                let result = task.perform(Action::new("", "")).await?;
                made.fetch_add(1, Ordering::SeqCst);
                Ok(result)
            }
        });
        let pool = Pool::native("p", |_: Attempt| async { Ok(vec![b'x'; 1 << 20]) });
        let run = host()
            .run(operation)
            .pool(pool.workers(4))
            .tasks(TASKS)
            .start()
            .unwrap();
        until(|| made.load(Ordering::SeqCst) == TASKS as u64).await;
        run.drain();
        // Longer than the tasks still running have after the last attempt.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        let finished = FinishedRun::of(run).await;
        assert_eq!(
            (finished.outputs().len(), finished.summary.tasks_done),
            (TASKS, TASKS as u64)
        );
    });
}

#[test]
fn input_that_panics_fails_the_run_after_the_lines_before_it() {
    struct Panics(std::io::Cursor<&'static str>);
    impl std::io::Read for Panics {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(to)? {
                0 => panic!("no more"),
                some => Ok(some),
            }
        }
    }
    let finished = FinishedRun::by(|| {
        let pool = Pool::native("p", |attempt: Attempt| async move { Ok(attempt.payload().clone()) });
        let input = Panics(std::io::Cursor::new("a\nb\n"));
        host().run(Operation::lines("line")).pool(pool.workers(1)).input(input)
    });
    assert_eq!(finished.outputs(), ["a\n", "b\n"]);
    let failure = finished.summary.failure.unwrap();
    snapshot("input_that_panics", &failure);
}

#[test]
fn run_explains_drains_and_readmits_workers() {
    go(async {
        let alive = Alive::default();
        let run = stuck(&alive).start().unwrap();
        until(|| alive.count() == 8).await;
        let progress = run.progress().await.unwrap();
        assert_eq!((progress.tasks_in_flight, progress.tasks_done), (5, 0));
        assert_eq!((progress.actions_running, progress.actions_waiting), (3, 2));
        assert_eq!(progress.workers, [(Health::Healthy, 3)]);
        let control = run.control();
        let said = control.drain_worker("stuck/1").await.unwrap();
        // How many attempts run depends on timing, and so does the end of the sentence.
        snapshot("a_worker_is_drained", said.split(';').next().unwrap());
        let workers = run.progress().await.unwrap().workers;
        assert!(workers.contains(&(Health::Draining, 1)), "{workers:?}");
        let said = control.readmit("stuck/1").await.unwrap();
        snapshot("a_worker_is_readmitted", &said);
        let error = control.readmit("stuck/9").await.unwrap_err();
        let ControlError::Refused(why) = error else {
            panic!("{error:?}")
        };
        snapshot("a_worker_that_is_not_there", &why);
        control.cancel();
        FinishedRun::of(run).await;
        assert_eq!(control.progress().await, Err(ControlError::Over));
    });
}

#[test]
fn run_continues_unobserved_and_can_be_read_afterwards() {
    go(async {
        let operation = Operation::native(["a", "b"], |task: Task| async move { Ok(task.input().clone()) });
        let pool = Pool::native("p", |_: Attempt| async { Ok("") });
        let run = host().run(operation).pool(pool.workers(1)).start().unwrap();
        until(|| format!("{run:?}").contains("is_over: true")).await;
        assert_eq!(FinishedRun::of(run).await.outputs(), ["a", "b"]);
    });
}

#[test]
fn unread_events_are_bounded() {
    go(async {
        // Only the ends of tasks, without any output to wait for, each with the longest text that is kept.
        const TEXT: u64 = 4 << 10;
        let most = (16 << 20) / (TEXT + 256);
        let begun = Arc::new(AtomicU64::new(0));
        let count = begun.clone();
        let operation = Operation::native(std::iter::repeat_n("", 1_000_000), move |_: Task| {
            count.fetch_add(1, Ordering::SeqCst);
            async move { Err::<Bytes, _>("x".repeat(TEXT as usize).into()) }
        });
        let pool = Pool::native("p", |_: Attempt| async { Ok("") });
        let mut run = host().run(operation).pool(pool.workers(1)).tasks(4).start().unwrap();
        let mut ended = 0;
        until(|| begun.load(Ordering::SeqCst) >= most - 100).await;
        while ended < 3 * most {
            if let Some(Event::TaskEnded { .. }) = run.next().await {
                ended += 1;
                let unread = begun.load(Ordering::SeqCst) - ended;
                assert!(unread <= most + 10, "{unread} ends of tasks are unread");
            }
        }
    });
}

#[test]
fn run_ends_with_its_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let alive = Alive::default();
    let run = runtime.block_on(async { stuck(&alive).start().unwrap() });
    drop(runtime);
    let error = go(run.finish()).unwrap_err();
    assert!(matches!(error, RunError::Runtime), "{error:?}");
    assert_eq!(alive.count(), 0);
}

#[test]
fn one_thread_is_enough() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let lines = host()
        .run(Operation::lines("line"))
        .input(std::io::Cursor::new("2\n3\n"));
    let finished = runtime.block_on(async {
        let run = lines.pool(Pool::component("squares", &square())).ordered(true).start();
        FinishedRun::of(run.unwrap()).await
    });
    assert_eq!(finished.outputs(), ["4\n", "9\n"]);
}
