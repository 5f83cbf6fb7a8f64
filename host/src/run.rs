//! A run of the program: where its events are written, beside the plan of the run itself.

mod rehearsal;

use std::{path::PathBuf, sync::Arc};

use disperse::assembly::{self, Ended, Wires};
pub(crate) use disperse::assembly::{
    InputSource, OperationSource, PoolPlan, RunError, Stopper, WorkerKind, WorkerPlan, wires,
};
use disperse_scheduler::Policy;

pub(crate) use self::rehearsal::{Stage, rehearse};
use crate::{
    logger::Level,
    report::{EventSink, Format, JsonSink, Target, TextSettings, TextSink, Writer},
    sandbox::{Sandbox, stdout_was_open},
};

/// The complete description of a run.
pub(crate) struct Plan {
    pub(crate) what: OperationSource,
    pub(crate) input: InputSource,
    pub(crate) output: Option<PathBuf>,
    pub(crate) pools: Vec<PoolPlan>,
    pub(crate) policy: Policy,
    /// None: three for each attempt that the workers make at once.
    pub(crate) tasks_max: Option<usize>,
    pub(crate) ordered: bool,
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    /// Whether it listens on a socket in the folder of run records, and leaves a record there when it ends.
    pub(crate) socket: bool,
    pub(crate) log_level: Level,
    pub(crate) seed: u64,
}

/// Runs a plan to its end.
///
/// # Errors
/// The output cannot be written, or no thread can be started.
pub(crate) async fn run_with(sandbox: Arc<Sandbox>, plan: Plan, wires: Wires) -> Result<Ended, RunError> {
    let sink = sink(&plan)?;
    let plan = assembly::Plan {
        what: plan.what,
        input: plan.input,
        pools: plan.pools,
        policy: plan.policy,
        tasks_max: plan.tasks_max,
        ordered: plan.ordered,
        verbose: plan.verbose,
        socket: plan.socket,
        log_level: plan.log_level,
        seed: plan.seed,
        is_embedded: false,
    };
    assembly::run_with(sandbox, plan, sink, wires).await
}

/// The sink of a run's events.
///
/// # Errors
/// No thread can be started.
fn sink(plan: &Plan) -> Result<Box<dyn EventSink>, RunError> {
    let target = plan.output.clone().map_or(Target::Stdout, Target::File);
    let progress = !plan.quiet && plan.format == Format::Text;
    let writer = Writer::new(target, stdout_was_open(), progress).map_err(RunError::Start)?;
    let settings = TextSettings {
        quiet: plan.quiet,
        verbose: plan.verbose,
        lines_a_task: match plan.what {
            OperationSource::Component { .. } | OperationSource::Native(_) => None,
            OperationSource::Lines { batch, .. } => Some(batch as u64),
        },
    };
    Ok(match plan.format {
        Format::Text => Box::new(TextSink::new(settings, writer)),
        Format::Json => Box::new(JsonSink::new(plan.output.is_some(), writer)),
    })
}
