//! The log of a rehearsed run: a line with a time for each event.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt::Write as _,
};

use disperse_scheduler::{
    ActionId, AttemptId, Command, End, Evicted, Health, Moment, Outcome, TaskId, Verdict, WorkerId,
};

use super::{escaped, shown};
use disperse_protocol::inbox::{Ask, AttemptEnded, Notice, Options, PlannerNotice, Reported, Request, RequestNumber};

/// The most lines of log and bytes of output of a test. Arbitrary: far more than a reader wants, and few enough to stop
/// a task that sends actions without end.
const LINES_MAX: usize = 100_000;
const OUTPUT_MAX: usize = 64 << 20;

/// The events so far. The log does not depend on real time or on threads.
#[derive(Debug, Default)]
pub struct Log {
    text: String,
    lines: usize,
    output: Vec<u8>,
    /// How many tasks were handed out. They are numbered in that order.
    tasks: u64,
    /// By number.
    workers: Vec<String>,
    /// The name of an action: its task and its number there, so that a change of one task renames no actions of
    /// another.
    actions: BTreeMap<ActionId, (TaskId, RequestNumber)>,
}

impl Log {
    /// An empty log. `workers`: their names, by number.
    pub fn new(workers: Vec<String>) -> Self {
        Self {
            workers,
            ..Self::default()
        }
    }

    /// The log, and the run's output.
    pub fn into_parts(self) -> (String, Vec<u8>) {
        (self.text, self.output)
    }

    /// The number of lines.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// Why the log takes no more lines, if it does not.
    pub fn is_over(&self) -> Option<String> {
        if self.lines > LINES_MAX {
            Some(format!("it did not end within {LINES_MAX} events"))
        } else if self.output.len() > OUTPUT_MAX {
            Some(format!("it wrote more than {} MiB", OUTPUT_MAX >> 20))
        } else {
            None
        }
    }

    fn line(&mut self, now: Moment, what: &str) {
        self.lines += 1;
        let _ = writeln!(self.text, "{:>9}  {what}", now.to_string());
    }

    /// Logs a notice to the driver. Notices that do not concern the operation or its workers have no line.
    pub fn notice(&mut self, now: Moment, notice: &Notice) {
        let line = match notice {
            Notice::Request(request) => asked(request),
            Notice::TaskEnded { task, end, .. } => match &end.outcome {
                Ok(result) => format!("task {} done: {}", task.0, shown(result)),
                Err(error) => format!("task {} failed: {}", task.0, escaped(error)),
            },
            Notice::Planner(PlannerNotice::Handed(input), _) => {
                self.tasks += 1;
                format!("task {} handed out: {}", self.tasks, shown(input))
            }
            Notice::Planner(PlannerNotice::Output { bytes, .. }, _) => {
                self.output.extend_from_slice(bytes);
                format!("output: {}", shown(bytes))
            }
            Notice::Planner(PlannerNotice::Finished(Ok(())), _) => "finished".to_owned(),
            Notice::Planner(PlannerNotice::Finished(Err(text)), _) => format!("finished, failed: {}", escaped(text)),
            Notice::Planner(PlannerNotice::Failed(text), _) => escaped(text),
            Notice::AttemptEnded(ended) => {
                for reported in ended.reports.iter().flatten() {
                    let line = self.reported(ended.worker, reported);
                    self.line(now, &line);
                }
                self.ended(ended)
            }
            Notice::WorkerLeft { worker } => format!("{} is gone", self.worker(*worker)),
            Notice::Planner(..) | Notice::Control(_) | Notice::Shortage(_) | Notice::Resting { .. } => return,
        };
        self.line(now, &line);
    }

    /// Logs that a quota is spent. `label`: whose it is.
    pub fn spent(&mut self, now: Moment, label: &str) {
        self.line(now, &format!("quota {} is spent", escaped(label)));
    }

    /// Logs a command of the scheduler. `asked`: the request of an action, while it is known.
    pub fn command(
        &mut self,
        now: Moment,
        command: &Command,
        asked: impl FnOnce(ActionId) -> Option<(TaskId, RequestNumber)>,
    ) {
        // One of these is the first line of an action. When it is settled it is forgotten, and its attempts may go on.
        if let Command::Assign {
            attempt: AttemptId { action, .. },
            ..
        }
        | Command::Settle { action, .. } = command
            && let Entry::Vacant(place) = self.actions.entry(*action)
            && let Some(asked) = asked(*action)
        {
            place.insert(asked);
        }
        let line = match command {
            Command::Assign { attempt, worker } => format!("{} to {}", self.attempt(*attempt), self.worker(*worker)),
            Command::Hedge { attempt } => {
                format!("{} is slow and gets a second one beside it", self.attempt(*attempt))
            }
            Command::Stop { attempt, worker } => {
                format!("{} on {} is stopped", self.attempt(*attempt), self.worker(*worker))
            }
            Command::Settle { action, outcome } => {
                let name = self.action(*action);
                match outcome {
                    Outcome::Done { number } => format!("{name} settled by #{number}"),
                    Outcome::Failed(reason) => format!("{name} settled without a result: {reason}"),
                }
            }
            Command::Retry { attempt, at, .. } if *at > now => {
                format!("{} rests until {at}", self.action(attempt.action))
            }
            // The next attempt has a line, and excused workers are not worth one.
            Command::Retry { .. }
            | Command::Judged {
                verdict: Verdict::Cleared,
                ..
            } => return,
            Command::Judged {
                attempt,
                worker,
                verdict,
            } => {
                format!("{} on {}: {verdict}", self.attempt(*attempt), self.worker(*worker))
            }
            Command::Systemic { pool, on: true } => format!("everything fails in {pool}"),
            Command::Systemic { pool, on: false } => format!("{pool} works again"),
            Command::Barred { worker, until, .. } => {
                let worker = self.worker(*worker);
                match until {
                    Some(until) => format!("{worker} is given nothing of the kind that it fails until {until}"),
                    None => format!("{worker} is given all kinds again"),
                }
            }
            Command::HealthChanged { worker, health } => format!("{} {}", self.worker(*worker), thought(*health)),
        };
        self.line(now, &line);
    }

    fn ended(&self, ended: &AttemptEnded) -> String {
        let mut line = format!("{} on {}: ", self.attempt(ended.attempt), self.worker(ended.worker));
        let message = escaped(ended.words.as_ref().map_or("", |words| words.message.as_str()));
        let _ = match ended.end {
            End::Ok => write!(line, "result: {}", shown(&ended.result)),
            End::Busy { wait } => write!(line, "busy for {}", Moment::START + wait),
            // Its message has it.
            End::Trap { .. } => line.write_str(&message),
            End::Transient => write!(line, "failed: {message}"),
            end => write!(line, "{end}: {message}"),
        };
        line
    }

    fn reported(&self, worker: WorkerId, reported: &Reported) -> String {
        let mut line = format!("{} reports {} left", self.worker(worker), reported.remaining);
        if !reported.bucket.is_empty() {
            let _ = write!(line, " of {}", escaped(&reported.bucket));
        }
        if !reported.resets.is_zero() {
            let _ = write!(line, ", all again in {}", Moment::START + reported.resets);
        }
        line
    }

    fn worker(&self, worker: WorkerId) -> &str {
        self.workers.get(worker.0 as usize).map_or("?", String::as_str)
    }

    fn action(&self, action: ActionId) -> String {
        match self.actions.get(&action) {
            Some((task, number)) => name(*task, *number),
            None => "?".to_owned(),
        }
    }

    fn attempt(&self, attempt: AttemptId) -> String {
        format!("{}#{}", self.action(attempt.action), attempt.number)
    }
}

fn name(task: TaskId, number: RequestNumber) -> String {
    format!("{}.{number}", task.0)
}

fn asked(request: &Request) -> String {
    let (task, name) = (request.task.0, name(request.task, request.number));
    match &request.ask {
        Ask::Action(action, options) => {
            let options = with(options);
            format!(
                "task {task} asks {name} {}{options}: {}",
                escaped(&action.kind),
                shown(&action.payload)
            )
        }
        Ask::Oversize { kind, message } => format!("task {task} asks {name} {}: {message}", escaped(kind)),
        Ask::Sleep(length) => format!("task {task} sleeps {name} for {}", Moment::START + *length),
        Ask::Cancel => format!("task {task} drops {name}"),
    }
}

/// The options that differ from the defaults.
fn with(options: &Options) -> String {
    let mut given = Vec::new();
    let mut give = |name: &str, value: String, usual: bool| {
        if !usual {
            given.push(format!("{name}={value}"));
        }
    };
    give("priority", options.priority.to_string(), options.priority == 0);
    let time = |time| (Moment::START + time).to_string();
    give("timeout", time(options.timeout), options.timeout.is_zero());
    give("deadline", time(options.deadline), options.deadline.is_zero());
    give("fuel", options.fuel.to_string(), options.fuel == 0);
    give("attempts", options.attempts.to_string(), options.attempts == 0);
    give("idempotent", "true".to_owned(), !options.idempotent);
    if given.is_empty() {
        String::new()
    } else {
        format!(" ({})", given.join(" "))
    }
}

fn thought(health: Health) -> String {
    match health {
        Health::Healthy => "is healthy".to_owned(),
        Health::Suspect => "is suspect".to_owned(),
        Health::Quarantined { until, round } => format!("is quarantined until {until} (round {round})"),
        Health::Probation { round: 0 } => "is on probation: unfit".to_owned(),
        Health::Probation { round } => format!("is on probation after quarantine {round}"),
        Health::Busy { until } => format!("is busy until {until}"),
        Health::Draining => "is taken out".to_owned(),
        Health::Evicted(Evicted::Unfit) => "is evicted: unfit".to_owned(),
        Health::Evicted(Evicted::Unreliable { quarantines }) => format!("is evicted after {quarantines} quarantines"),
        Health::Gone => "is gone".to_owned(),
    }
}
