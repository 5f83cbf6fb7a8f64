//! Assembles and runs one run.

mod pools;

use std::{
    io::{BufReader, Read},
    os::fd::AsFd,
    sync::Arc,
};

use disperse_scheduler::Policy;
use rustix::io::Errno;
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot,
};

use crate::{
    control::{ControlResponse, Problem, Query, RunId, Server},
    operation::{
        ComponentOperation, Files, IN_MEMORY_MAX, LineWriting, Lines, LinesOptions, Native, NativeTasks, Operation,
        OperationSettings,
    },
};
use disperse_engine::{
    driver::{Clock, Driver, Halt, History, Journal, NoJournal, Setup},
    sink::{EventSink, Finished, LiveCounts, Reporter},
    transport::InProcess,
};
use disperse_protocol::{
    inbox::{Control, HostNotice, Notice, RunEvent, RunSummary, TaskCounts, Undone},
    limits::Limits,
    logger::{Level, Logger},
};
use disperse_sandbox::{Input, LoadedComponent, Sandbox, stdin_was_open};

pub use self::pools::{PoolPlan, WorkerKind, WorkerPlan, draw};
use self::pools::{pools, unconfirmed};

/// The source of a run's input.
pub enum InputSource {
    Nothing,
    Stdin,
    File(std::fs::File),
    /// Read in a thread of its own, like the others.
    Reader(Box<dyn Read + Send>),
}

/// The operation of a run.
pub enum OperationSource {
    Component {
        program: LoadedComponent,
        args: Vec<String>,
        task_limits: Limits,
        planner_limits: Limits,
    },
    Lines {
        kind: String,
        batch: usize,
        /// The byte that ends lines and results.
        end: u8,
        /// If each line is the path of a file with the payload: how these are read.
        files: Option<Files>,
        /// Whether performing a line twice does no harm.
        idempotent: bool,
        writing: LineWriting,
        /// The longest line or batch in bytes.
        payload_max: usize,
    },
    Native(NativeTasks),
}

/// The complete description of a run.
pub struct Plan {
    pub what: OperationSource,
    pub input: InputSource,
    pub pools: Vec<PoolPlan>,
    pub policy: Policy,
    /// None: three for each attempt that the workers make at once.
    pub tasks_max: Option<usize>,
    pub ordered: bool,
    /// How many tasks may fail until the run is stopped. None: all.
    pub halt: Option<Halt>,
    /// Whether it tells more.
    pub verbose: bool,
    /// Whether it listens on a socket in the folder of run records, and leaves a record there when it ends.
    pub socket: bool,
    pub log_level: Level,
    pub seed: u64,
    /// The record by which the run can be resumed. None: there is none.
    pub recording: Option<Recording>,
    /// Whether a program embeds it, which may have all its blocking threads busy.
    pub is_embedded: bool,
}

/// The record of a run that outlives its process.
pub struct Recording {
    pub id: RunId,
    pub clock: Clock,
    pub journal: Box<dyn Journal>,
    /// What the run did before. None: it begins.
    pub history: Option<Box<dyn History>>,
    /// How many bytes of its output are at their target already.
    pub written: u64,
}

impl Recording {
    /// Of a run without a record.
    fn none() -> Self {
        Self {
            id: RunId::new(),
            clock: Clock::start(),
            journal: Box::new(NoJournal),
            history: None,
            written: 0,
        }
    }
}

/// Why a run broke off.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot write the output: {0}")]
    Output(std::io::Error),
    #[error("cannot start: {0}")]
    Start(std::io::Error),
    /// The machine lacked something that the run needs for too long.
    #[error("{0}")]
    Shortage(String),
    #[error("invalid `[health]` settings: {0}")]
    Policy(#[from] disperse_scheduler::PolicyError),
}

/// The outcome of a run.
pub struct Ended {
    pub summary: RunSummary,
    pub finished: Finished,
}

/// The channels between the parts of a run.
pub struct Wires {
    to_driver: UnboundedSender<Notice>,
    inbox: UnboundedReceiver<Notice>,
    counts: Arc<LiveCounts>,
}

/// Makes the channels of one run, and the handle that stops it.
pub fn wires() -> (Stopper, Wires) {
    let (to_driver, inbox) = unbounded_channel();
    let counts = Arc::<LiveCounts>::default();
    let stopper = Stopper {
        to_driver: to_driver.clone(),
        counts: counts.clone(),
    };
    let wires = Wires {
        to_driver,
        inbox,
        counts,
    };
    (stopper, wires)
}

/// Runs a plan to its end; its events go to `sink`.
///
/// # Errors
/// The output cannot be written, or no thread can be started.
pub async fn run_with(
    sandbox: Arc<Sandbox>,
    plan: Plan,
    sink: Box<dyn EventSink>,
    wires: Wires,
) -> Result<Ended, RunError> {
    let Wires {
        to_driver,
        inbox,
        counts,
    } = wires;
    let mut report = Reporter::new(sink);
    let (logger, lines) = Logger::new(plan.log_level, plan.verbose);
    let is_recorded = plan.recording.is_some();
    let Recording {
        id,
        clock,
        journal,
        history,
        written,
    } = plan.recording.unwrap_or_else(Recording::none);
    let listens = plan.socket.then(|| Server::start(&id, to_driver.clone()));
    let (server, deaf) = match listens.transpose() {
        Ok(server) => (server, None),
        Err(error) => (None, Some(error.to_string())),
    };
    report.aside(RunEvent::Started { run: id.to_string() });
    if let Some(error) = deaf.filter(|_| plan.verbose) {
        report.aside(RunEvent::Notice(HostNotice::Unreachable { error }));
    }
    let (pools, buckets) =
        pools(plan.pools, (&id, plan.seed), &sandbox, &logger, &to_driver).map_err(RunError::Start)?;
    for pools in unconfirmed(&pools) {
        report.aside(RunEvent::Notice(HostNotice::Unconfirmed { pools }));
    }
    let workers: usize = pools.iter().map(|pool| pool.workers.len()).sum();
    let each = pools.iter().flat_map(|pool| &pool.workers);
    let slots: usize = each.map(|worker| worker.worker.slots as usize).sum();
    let (least, each) = match plan.what {
        OperationSource::Component { .. } | OperationSource::Native(_) => (0, 3),
        // Lines are light, and the more of them are in flight the less often threads wake each other.
        OperationSource::Lines { .. } => (64, 3),
    };
    let tasks_default = (least * workers).max(each * slots);
    let setup = Setup {
        id,
        policy: plan.policy,
        seed: plan.seed,
        tasks_max: plan.tasks_max.unwrap_or(tasks_default).max(1),
        tasks_each: if plan.tasks_max.is_none() {
            (least, each)
        } else {
            (0, 0)
        },
        // Lines are put in order where they are written.
        ordered: plan.ordered && !matches!(plan.what, OperationSource::Lines { .. }),
        halt: plan.halt,
        pools,
        buckets,
        transport: Box::new(InProcess::default()),
        journal,
        history,
        written,
        clock,
        counts: counts.clone(),
    };
    let is_file = is_file(&plan.input);
    let source = source(plan.input);
    let operation = operation(
        plan.what,
        (source, is_file),
        plan.ordered,
        (plan.seed, clock.began_unix_ms(), is_recorded),
        &sandbox,
        &logger,
        &to_driver,
    )?;
    let (summary, archive) = Driver::new(setup, operation, inbox, lines, &mut report, sandbox.budget())?
        .run(server.is_some())
        .await;
    match logger.take_dropped() {
        0 => {}
        lines => report.aside(RunEvent::Notice(HostNotice::LinesDropped { lines })),
    }
    if let (Some(server), Some(archive)) = (server, archive) {
        // A blocking task, as for all disk access. A record that cannot be written is not worth an error.
        let _ = tokio::task::spawn_blocking(move || server.end(&archive)).await;
    }
    let (summary, finished) = if plan.is_embedded {
        // Nothing was written.
        report.finish(summary, || false)
    } else {
        // In a blocking thread: a slow reader must not keep a second Ctrl-C from being handled.
        let finish = move || {
            let finished = report.finish(summary, || counts.is_stopped());
            counts.reported();
            finished
        };
        let finished = tokio::task::spawn_blocking(finish).await;
        finished.map_err(|error| RunError::Output(std::io::Error::other(error)))?
    };
    let finished = finished.map_err(RunError::Output)?;
    match summary.shortage {
        Some(why) => Err(RunError::Shortage(why)),
        None => Ok(Ended { summary, finished }),
    }
}

/// A handle that stops and queries a run.
#[derive(Clone, Debug)]
pub struct Stopper {
    to_driver: UnboundedSender<Notice>,
    counts: Arc<LiveCounts>,
}

impl Stopper {
    /// Drains it: no new attempts, running ones end.
    pub fn stop(&self) {
        self.counts.stopped();
        // A run that is over needs no stopping, but may wait for a reader of its results.
        let _ = self.to_driver.send(Notice::Control(Control::Drain));
    }

    /// Cancels it at once.
    pub fn cancel(&self) {
        let _ = self.to_driver.send(Notice::Control(Control::Cancel));
    }

    /// How many tasks have ended and are left. None: the report of the run has it already.
    pub fn unreported(&self) -> Option<(TaskCounts, Undone)> {
        self.counts.unreported()
    }

    /// Sends the run a request. None: it is over.
    ///
    /// Cancel safe: the request is carried out in any case.
    pub async fn ask(&self, query: Query) -> Option<Result<ControlResponse, Problem>> {
        let (replier, reply) = oneshot::channel();
        let query = Notice::Control(Control::Query(query, replier));
        self.to_driver.send(query).ok()?;
        reply.await.ok().map(|response| *response)
    }
}

/// Replaces a stdin that was closed when the process started.
struct ClosedStdin;

impl Read for ClosedStdin {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(Errno::BADF.into())
    }
}

/// The reader of an input, if there is one.
fn source(input: InputSource) -> Option<Box<dyn Read + Send>> {
    match input {
        InputSource::Nothing => None,
        InputSource::Stdin if stdin_was_open() => Some(Box::new(std::io::stdin())),
        InputSource::Stdin => Some(Box::new(ClosedStdin)),
        InputSource::File(file) => Some(Box::new(file)),
        InputSource::Reader(reader) => Some(reader),
    }
}

/// Whether an input is a regular file, which has an end already.
fn is_file(input: &InputSource) -> bool {
    let meta = match input {
        InputSource::File(file) => file.metadata(),
        InputSource::Stdin if stdin_was_open() => {
            let stdin = std::io::stdin().as_fd().try_clone_to_owned().map(std::fs::File::from);
            stdin.and_then(|stdin| stdin.metadata())
        }
        _ => return false,
    };
    meta.is_ok_and(|meta| meta.is_file())
}

fn operation(
    what: OperationSource,
    (source, is_file): (Option<Box<dyn Read + Send>>, bool),
    ordered: bool,
    (seed, began_unix_ms, is_recorded): (u64, u64, bool),
    sandbox: &Arc<Sandbox>,
    logger: &Logger,
    to_driver: &UnboundedSender<Notice>,
) -> Result<Box<dyn Operation>, RunError> {
    match what {
        OperationSource::Component {
            program,
            args,
            task_limits,
            planner_limits,
        } => {
            let settings = OperationSettings {
                args: args.into(),
                input: source.map(Input::new),
                task_limits,
                planner_limits,
                began_unix_ms,
                seed,
                is_rehearsal: false,
                is_recorded,
            };
            Ok(Box::new(ComponentOperation::start(
                sandbox.clone(),
                program,
                settings,
                logger.clone(),
                to_driver.clone(),
            )))
        }
        OperationSource::Lines {
            kind,
            batch,
            end,
            files,
            idempotent,
            writing,
            payload_max,
        } => {
            let source = source.unwrap_or_else(|| Box::new(std::io::empty()));
            let options = LinesOptions {
                kind: kind.into(),
                batch,
                end,
                files,
                idempotent,
                writing,
                payload_max,
                is_file,
                // An eighth is little beside the memory of guests, and lets the rest of the run go on.
                ordered: ordered.then(|| IN_MEMORY_MAX.min(sandbox.budget().limit() / 8)),
            };
            let lines = Lines::start(BufReader::with_capacity(1 << 16, source), options, to_driver.clone());
            Ok(Box::new(lines.map_err(RunError::Start)?))
        }
        OperationSource::Native(tasks) => {
            let budget = sandbox.budget().clone();
            Ok(Box::new(Native::start(tasks, budget, to_driver.clone())))
        }
    }
}
