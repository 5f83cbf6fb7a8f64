//! A run that is resumed: what is replayed, and what is done again.

use std::{collections::VecDeque, io};

use disperse_protocol::{digest::Digest, inbox::PlannerStep};
use rustc_hash::FxHashMap;

use super::*;
use crate::driver::{
    AttemptRecord, Delivered, PlannerCalled, QuotaReserved, SettledBefore, StartedBefore, TaskHistory, WorkerChanged,
};

/// What a run did before, as a test says.
#[derive(Default)]
pub(super) struct Before {
    pub(super) calls: VecDeque<PlannerCalled>,
    pub(super) started: FxHashMap<TaskId, StartedBefore>,
    pub(super) outcomes: FxHashMap<TaskId, Result<Bytes, String>>,
    pub(super) tasks: FxHashMap<TaskId, TaskHistory>,
    pub(super) quotas: Vec<QuotaReserved>,
    pub(super) workers: Vec<WorkerChanged>,
    pub(super) written: u64,
}

impl Before {
    fn called(mut self, step: PlannerStep, now_ms: u64) -> Self {
        self.calls.push_back(PlannerCalled { step, now_ms });
        self
    }

    fn started(mut self, task: u64, input: &str, now_ms: u64) -> Self {
        let input = Digest::of(input.as_bytes());
        self.started.insert(TaskId(task), StartedBefore { input, now_ms });
        self
    }

    fn ended(mut self, task: u64, result: &'static str) -> Self {
        self.outcomes.insert(TaskId(task), Ok(result.into()));
        self
    }

    fn settled(mut self, task: u64, number: RequestNumber, result: &'static str) -> Self {
        let settled = SettledBefore {
            kind: "k".to_owned(),
            digest: Digest::of(&PAYLOAD),
            beginning: PAYLOAD,
            value: Ok(result.into()),
        };
        self.tasks
            .entry(TaskId(task))
            .or_default()
            .settled
            .insert(number, settled);
        self
    }

    fn delivered(mut self, task: u64, number: u32, now_ms: u64, requests: &[RequestNumber]) -> Self {
        let task = TaskId(task);
        let delivered = Delivered {
            task,
            number,
            now_ms,
            requests: requests.to_vec(),
        };
        self.tasks.entry(task).or_default().deliveries.push(delivered);
        self
    }

    /// Attempts of a task's actions failed.
    pub(super) fn failed(mut self, failed: &[AttemptRecord]) -> Self {
        for one in failed {
            let task = self.tasks.entry(one.action.task).or_default();
            task.failed.push(one.clone());
        }
        self
    }

    /// Resumes the run. `planner`: what the planner does when it is called again.
    fn resume(self, planner: impl IntoIterator<Item = Notice>) -> Run {
        self.resume_at(Moment::from_millis(40), Set::pools(&[workers(&[9])]), planner)
    }

    /// Resumes the run as it is set up, at this time.
    pub(super) fn resume_at(self, now: Moment, set: Set, planner: impl IntoIterator<Item = Notice>) -> Run {
        let mut run = Set {
            has_journal: true,
            written: self.written,
            history: Some(Box::new(self)),
            ..set
        }
        .run_without_turn();
        for notice in planner {
            run.to_driver.send(notice).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run.driver.resume(now));
        run.now = run.driver.now;
        run
    }
}

impl History for Before {
    fn next_call(&mut self) -> io::Result<Option<PlannerCalled>> {
        Ok(self.calls.pop_front())
    }

    fn started(&mut self, task: TaskId) -> io::Result<Option<StartedBefore>> {
        Ok(self.started.get(&task).copied())
    }

    fn outcome(&mut self, task: TaskId) -> io::Result<Option<Result<Bytes, String>>> {
        Ok(self.outcomes.get(&task).cloned())
    }

    fn quotas(&mut self) -> io::Result<Vec<QuotaReserved>> {
        Ok(std::mem::take(&mut self.quotas))
    }

    fn workers(&mut self) -> io::Result<Vec<WorkerChanged>> {
        Ok(std::mem::take(&mut self.workers))
    }

    fn task(&mut self, task: TaskId) -> io::Result<TaskHistory> {
        Ok(self.tasks.remove(&task).unwrap_or_default())
    }
}

fn paused(none: bool) -> Notice {
    planner(PlannerNotice::Paused { none })
}

/// The records of a run since they were last asked for.
fn records(run: &Run) -> usize {
    std::mem::take(&mut run.fake.recorded().records).len()
}

/// A run of one task, which was handed out at 3 ms.
pub(super) fn with_task() -> Before {
    Before::default()
        .called(PlannerStep::Next, 2)
        .started(1, "in", 3)
        .called(PlannerStep::Next, 4)
}

/// What its planner does when it is called again.
pub(super) fn planner_of_one() -> [Notice; 3] {
    [handed("in"), paused(false), paused(true)]
}

#[test]
fn planner_is_called_again_as_before() {
    let before = with_task()
        .ended(1, "out")
        .called(PlannerStep::Collect(TaskId(1)), 9)
        .called(PlannerStep::Next, 10)
        .started(2, "b", 11);
    let told = planner_of_one().into_iter().chain([
        output("line 1\n"),
        planner(PlannerNotice::Collected),
        handed("b"),
        paused(false),
    ]);
    let run = Before { written: 5, ..before }.resume(told);
    let calls = ["next 1", "next 1", "collect t1: out", "next 1", "start t2: b"];
    assert_eq!(run.tasks(), calls);
    assert_eq!(run.reported(), ["output: 1\n"], "five bytes are at their target");
    assert_eq!(records(&run), 0, "all of it is recorded");
    assert_eq!(run.driver.tasks.counts().done, 1);
    assert!(run.now >= Moment::from_millis(10));
}

/// Recorded again, it would be called twice when the run is resumed the next time.
#[test]
fn last_call_of_the_planner_is_recorded_once() {
    let before = with_task()
        .ended(1, "out")
        .called(PlannerStep::Collect(TaskId(1)), 9)
        .called(PlannerStep::Finish, 10);
    let told = planner_of_one().into_iter().chain([planner(PlannerNotice::Collected)]);
    let mut run = before.resume(told);
    let step = PlannerStep::Finish;
    run.turn([planner(PlannerNotice::Begun { step, now_ms: 10 }), output("end")]);
    assert_eq!(records(&run), 0);
    run.keep();
    run.turn([planner(PlannerNotice::Finished(Ok(())))]);
    assert_eq!(run.reported().last().map(String::as_str), Some("output: end"));
}

#[test]
fn task_that_had_ended_and_was_not_collected_is_collected() {
    let mut run = with_task().ended(1, "out").resume(planner_of_one());
    run.turn([]);
    assert_eq!(run.tasks(), ["next 1", "next 1", "collect t1: out"]);
}

#[test]
fn task_that_was_handed_out_and_not_recorded_is_started_and_recorded() {
    let before = Before::default().called(PlannerStep::Next, 2);
    let mut run = before.resume([handed("in"), paused(false)]);
    run.turn([]);
    assert_eq!(run.tasks()[..2], ["next 1", "start t1: in"]);
    assert_eq!(records(&run), 1);
}

#[test]
fn settled_actions_are_not_performed_again_and_deliveries_are_the_same() {
    let before = with_task()
        .settled(1, 1, "a")
        .settled(1, 2, "b")
        .settled(1, 3, "c")
        .delivered(1, 1, 20, &[2])
        .delivered(1, 2, 30, &[1, 3]);
    let mut run = before.resume(planner_of_one());
    run.tasks();
    run.turn([asks(1, 1)]);
    assert_eq!(run.tasks(), [""; 0], "the first delivery answers another one");
    run.turn([asks(1, 2), asks(1, 3)]);
    assert_eq!(run.tasks(), ["t1 #1 at 20: 2 b", "t1 #2 at 30: 1 a, 3 c"]);
    assert_eq!(records(&run), 0);
    assert_eq!(run.orders(), [""; 0]);
    run.keep();
    run.turn([asks(1, 4)]);
    assert_eq!(run.orders(), ["w0 run a1#1"], "this one is new");
    run.turn([done(attempt(1, 1), 0, "d")]);
    assert!(run.tasks()[0].starts_with("t1 #3 at"), "the deliveries go on");
}

#[test]
fn new_answer_waits_for_the_deliveries_of_before() {
    let before = with_task().settled(1, 2, "b").delivered(1, 1, 20, &[2]);
    let mut run = before.resume(planner_of_one());
    run.tasks();
    run.keep();
    run.turn([asks_with(
        1,
        1,
        Options {
            idempotent: true,
            ..Options::default()
        },
    )]);
    run.turn([done(attempt(1, 1), 0, "a")]);
    assert_eq!(run.tasks(), [""; 0]);
    run.turn([asks(1, 2)]);
    let tasks = run.tasks();
    assert_eq!(tasks[0], "t1 #1 at 20: 2 b");
    assert!(
        tasks[1].starts_with("t1 #2") && tasks[1].ends_with(": 1 a"),
        "{tasks:?}"
    );
}

#[test]
fn action_that_was_settled_and_not_delivered_is_delivered() {
    let mut run = with_task().settled(1, 1, "a").resume(planner_of_one());
    run.tasks();
    run.turn([asks(1, 1)]);
    assert!(run.tasks()[0].ends_with(": 1 a"));
    assert_eq!(records(&run), 1, "the delivery is new");
    assert_eq!(run.orders(), [""; 0]);
}

#[test]
fn other_request_than_before_fails_the_task_and_shows_both() {
    let mut run = with_task().settled(1, 1, "a").resume(planner_of_one());
    run.tasks();
    run.turn([asks_for("other", 1, 1, Options::default())]);
    // A task that gets no answer any more ends.
    run.turn([task_ended(1, "whatever")]);
    let told = &run.tasks()[0];
    assert!(told.starts_with("collect t1 failed: "), "{told}");
    assert!(
        told.contains("its request 1 was `k` with `payload` and is `other` with `payload` now"),
        "{told}"
    );
}

#[test]
fn task_that_ends_before_its_recorded_answers_has_failed() {
    let before = with_task().settled(1, 1, "a").delivered(1, 1, 20, &[1]);
    let mut run = before.resume(planner_of_one());
    run.tasks();
    run.turn([task_ended(1, "early")]);
    let told = &run.tasks()[0];
    assert!(told.contains("it ended before its answer 1 of before"), "{told}");
}

#[test]
fn planner_that_hands_out_another_task_ends_the_run() {
    let run = with_task().resume([handed("other"), paused(false)]);
    assert!(run.driver.tasks.is_over());
}

#[test]
fn sleep_ends_when_it_would_have() {
    let before = with_task().delivered(1, 1, 20, &[1]);
    let mut run = before.resume(planner_of_one());
    run.tasks();
    run.turn([asked_at(3, sleeps(1, 1, 17))]);
    assert_eq!(run.tasks(), ["t1 #1 at 20: 1"]);
    run.turn([asked_at(20, sleeps(1, 2, 100))]);
    run.now = Moment::from_millis(119);
    run.turn([]);
    assert_eq!(run.tasks(), [""; 0]);
    run.now = Moment::from_millis(120);
    run.turn([]);
    assert_eq!(
        run.tasks(),
        ["t1 #2 at 120: 2"],
        "counted from what the task saw when it asked"
    );
}

#[test]
fn deadline_counts_from_when_the_action_was_first_asked_for() {
    let options = Options {
        deadline: Duration::from_millis(100),
        ..Options::default()
    };
    let before = with_task().settled(1, 1, "a").delivered(1, 1, 20, &[1]);
    let mut run = before.resume(planner_of_one());
    run.keep();
    run.turn([asks(1, 1)]);
    run.turn([asked_at(20, asks_with(1, 2, options)), asked_at(20, asks(1, 3))]);
    // From now on the task knows of the time after the run was resumed.
    run.now = Moment::from_millis(60);
    run.turn([done(attempt(2, 1), 0, "c")]);
    run.keep();
    run.turn([asked_at(60, asks_with(1, 4, options))]);
    run.now = Moment::from_millis(119);
    run.turn([]);
    assert_eq!(run.driver.scheduler.open(), 2);
    run.now = Moment::from_millis(120);
    run.turn([]);
    run.keep();
    run.turn([]);
    assert_eq!(run.reported(), ["a1 failed: Deadline"]);
    run.now = Moment::from_millis(159);
    run.turn([]);
    assert_eq!(run.driver.scheduler.open(), 1);
    run.now = Moment::from_millis(160);
    run.turn([]);
    assert_eq!(run.driver.scheduler.open(), 0);
}

#[test]
fn deadline_that_passed_while_the_run_was_down_has_passed() {
    let options = Options {
        deadline: Duration::from_millis(10),
        ..Options::default()
    };
    let mut run = with_task().resume(planner_of_one());
    run.turn([asked_at(3, asks_with(1, 1, options))]);
    assert_eq!(run.driver.scheduler.open(), 0);
    assert_eq!(run.orders(), [""; 0]);
}
