//! One run, put together: the only room that knows every other.

mod pools;
mod rehearsal;

use std::{
    io::{BufReader, Read},
    os::fd::AsFd,
    path::PathBuf,
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
    driver::{Clock, Driver, NoJournal, Setup},
    inbox::{Control, HostNotice, Notice, RunEvent, RunSummary},
    limits::Limits,
    logger::{Level, Logger},
    operation::{
        ComponentOperation, Files, IN_MEMORY_MAX, Lines, LinesOptions, Native, NativeTasks, Operation,
        OperationSettings,
    },
    report::{
        EventSink, Finished, Format, JsonSink, LibrarySink, LiveCounts, Reporter, Target, TextSettings, TextSink,
        Writer,
    },
    sandbox::{Input, LoadedComponent, Sandbox, stdin_was_open, stdout_was_open},
    transport::InProcess,
};

use self::pools::{pools, unconfirmed};
pub(crate) use self::{
    pools::{Performer, PoolPlan, WorkerPlan},
    rehearsal::{Stage, rehearse},
};

/// Where a run's input comes from.
pub(crate) enum InputSource {
    Nothing,
    Stdin,
    File(std::fs::File),
    /// Read in a thread of its own, as the others are.
    Reader(Box<dyn Read + Send>),
}

/// What is run.
pub(crate) enum What {
    Component {
        program: LoadedComponent,
        args: Vec<String>,
        task_limits: Limits,
        planner_limits: Limits,
    },
    Lines {
        kind: String,
        batch: usize,
        /// The byte that lines, and results, end with.
        end: u8,
        /// If each line is the path of a file with the payload: how these are read.
        files: Option<Files>,
        /// Whether a second run of a line does no harm.
        idempotent: bool,
        /// The longest line or batch in bytes.
        payload_max: usize,
    },
    Native(NativeTasks),
}

/// A whole run, as it was asked for.
pub(crate) struct Plan {
    pub(crate) what: What,
    pub(crate) input: InputSource,
    pub(crate) output: Option<PathBuf>,
    pub(crate) pools: Vec<PoolPlan>,
    pub(crate) policy: Policy,
    /// None: three for each attempt that workers take at once.
    pub(crate) tasks_max: Option<usize>,
    pub(crate) ordered: bool,
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    /// Whether it listens in the folder of run records, and keeps there what can be asked once it has ended.
    pub(crate) socket: bool,
    pub(crate) log_level: Level,
    pub(crate) seed: u64,
    /// Gets all events of a run that a program embeds. Then nothing is written, whatever the format.
    pub(crate) library: Option<LibrarySink>,
}

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("cannot write the output: {0}")]
    Output(std::io::Error),
    #[error("cannot start: {0}")]
    Start(std::io::Error),
    /// What a run needs was not to be had for too long.
    #[error("{0}")]
    Shortage(String),
    #[error("invalid `[health]` settings: {0}")]
    Policy(#[from] disperse_scheduler::PolicyError),
}

/// How a run ended.
pub(crate) struct Ended {
    pub(crate) summary: RunSummary,
    pub(crate) finished: Finished,
}

/// What the parts of a run talk over.
pub(crate) struct Wires {
    to_driver: UnboundedSender<Notice>,
    inbox: UnboundedReceiver<Notice>,
    counts: Arc<LiveCounts>,
}

/// For one run, and what stops it.
pub(crate) fn wires() -> (Stopper, Wires) {
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

/// Runs a plan to its end.
///
/// # Errors
/// The output cannot be written, or there are no threads to be had.
pub(crate) async fn run_with(sandbox: Arc<Sandbox>, mut plan: Plan, wires: Wires) -> Result<Ended, RunError> {
    let Wires {
        to_driver,
        inbox,
        counts,
    } = wires;
    let is_embedded = plan.library.is_some();
    let mut report = Reporter::new(sink(&mut plan)?);
    let (logger, lines) = Logger::new(plan.log_level, plan.verbose);
    let id = RunId::new();
    let clock = Clock::start();
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
        What::Component { .. } | What::Native(_) => (0, 3),
        // Lines are light, and the more of them are on their way the less often threads wake each other.
        What::Lines { .. } => (64, 3),
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
        ordered: plan.ordered && !matches!(plan.what, What::Lines { .. }),
        pools,
        buckets,
        transport: Box::new(InProcess::default()),
        journal: Box::new(NoJournal),
        clock,
        counts: counts.clone(),
    };
    let is_file = is_file(&plan.input);
    let source = source(plan.input);
    let operation = operation(
        plan.what,
        (source, is_file),
        plan.ordered,
        (plan.seed, clock.began_unix_ms()),
        &sandbox,
        &logger,
        &to_driver,
    )?;
    let (summary, kept) = Driver::new(setup, operation, inbox, lines, &mut report, sandbox.budget())?
        .run(server.is_some())
        .await;
    match logger.take_dropped() {
        0 => {}
        lines => report.aside(RunEvent::Notice(HostNotice::LinesDropped { lines })),
    }
    if let (Some(server), Some(kept)) = (server, kept) {
        // As with all that disks do: not in a thread that others need. What cannot be kept is not worth an error.
        let _ = tokio::task::spawn_blocking(move || server.end(&kept)).await;
    }
    let (summary, finished) = if is_embedded {
        // Nothing was written, and a program may have its blocking threads all at work.
        report.finish(summary, || false)
    } else {
        // In a thread that may block: a reader that takes its time must not keep a second Ctrl-C from being heard.
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

/// Where the events of a run go.
///
/// # Errors
/// No thread can be had.
fn sink(plan: &mut Plan) -> Result<Box<dyn EventSink>, RunError> {
    if let Some(library) = plan.library.take() {
        return Ok(Box::new(library));
    }
    let target = plan.output.clone().map_or(Target::Stdout, Target::File);
    let progress = !plan.quiet && plan.format == Format::Text;
    let writer = Writer::new(target, stdout_was_open(), progress).map_err(RunError::Start)?;
    let settings = TextSettings {
        quiet: plan.quiet,
        verbose: plan.verbose,
        lines_a_task: match plan.what {
            What::Component { .. } | What::Native(_) => None,
            What::Lines { batch, .. } => Some(batch as u64),
        },
    };
    Ok(match plan.format {
        Format::Text => Box::new(TextSink::new(settings, writer)),
        Format::Json => Box::new(JsonSink::new(plan.output.is_some(), writer)),
    })
}

/// Stops a run.
#[derive(Clone, Debug)]
pub(crate) struct Stopper {
    to_driver: UnboundedSender<Notice>,
    counts: Arc<LiveCounts>,
}

impl Stopper {
    /// Gently: no new attempts, those that run end.
    pub(crate) fn stop(&self) {
        self.counts.stopped();
        // A run that is over needs no stopping, but may wait for a reader of its results.
        let _ = self.to_driver.send(Notice::Control(Control::Drain));
    }

    /// At once, whatever runs.
    pub(crate) fn cancel(&self) {
        let _ = self.to_driver.send(Notice::Control(Control::Cancel));
    }

    /// How far the run is, in words. None: its report has said so.
    pub(crate) fn unreported(&self) -> Option<String> {
        self.counts.unreported()
    }

    /// Asks the run something. None: it is over.
    ///
    /// Cancel safe: what is asked is answered, or done, all the same.
    pub(crate) async fn ask(&self, query: Query) -> Option<Result<ControlResponse, Problem>> {
        let (replier, reply) = oneshot::channel();
        let query = Notice::Control(Control::Query(query, replier));
        self.to_driver.send(query).ok()?;
        reply.await.ok().map(|response| *response)
    }
}

/// A stdin that the process was started without.
struct ClosedStdin;

impl Read for ClosedStdin {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(Errno::BADF.into())
    }
}

/// What an input is read from, if there is one.
fn source(input: InputSource) -> Option<Box<dyn Read + Send>> {
    match input {
        InputSource::Nothing => None,
        InputSource::Stdin if stdin_was_open() => Some(Box::new(std::io::stdin())),
        InputSource::Stdin => Some(Box::new(ClosedStdin)),
        InputSource::File(file) => Some(Box::new(file)),
        InputSource::Reader(reader) => Some(reader),
    }
}

/// Whether an input is a regular file, which has an end that is there already.
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
    what: What,
    (source, is_file): (Option<Box<dyn Read + Send>>, bool),
    ordered: bool,
    (seed, began_unix_ms): (u64, u64),
    sandbox: &Arc<Sandbox>,
    logger: &Logger,
    to_driver: &UnboundedSender<Notice>,
) -> Result<Box<dyn Operation>, RunError> {
    match what {
        What::Component {
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
            };
            Ok(Box::new(ComponentOperation::start(
                sandbox.clone(),
                program,
                settings,
                logger.clone(),
                to_driver.clone(),
            )))
        }
        What::Lines {
            kind,
            batch,
            end,
            files,
            idempotent,
            payload_max,
        } => {
            let source = source.unwrap_or_else(|| Box::new(std::io::empty()));
            let options = LinesOptions {
                kind: kind.into(),
                batch,
                end,
                files,
                idempotent,
                payload_max,
                is_file,
                // An eighth is little beside what guests need, and lets the rest of the run go on.
                ordered: ordered.then(|| IN_MEMORY_MAX.min(sandbox.budget().limit() / 8)),
            };
            let lines = Lines::start(BufReader::with_capacity(1 << 16, source), options, to_driver.clone());
            Ok(Box::new(lines.map_err(RunError::Start)?))
        }
        What::Native(tasks) => {
            let budget = sandbox.budget().clone();
            Ok(Box::new(Native::start(tasks, budget, to_driver.clone())))
        }
    }
}
