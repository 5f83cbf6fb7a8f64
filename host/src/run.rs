//! A run of the program: where its events are written, beside the plan of the run itself.

mod rehearsal;

use std::{path::PathBuf, sync::Arc};

use disperse::assembly::{self, Ended, Wires};
pub(crate) use disperse::assembly::{
    InputSource, OperationSource, PoolPlan, RunError, Stopper, WorkerKind, WorkerPlan, wires,
};

pub(crate) use self::rehearsal::{Stage, rehearse};
use crate::{
    report::{EventSink, Format, JsonSink, Target, TextSettings, TextSink, Writer},
    sandbox::{Sandbox, stdout_was_open},
};

/// A run, and where and how its events are written.
pub(crate) struct Plan {
    pub(crate) run: assembly::Plan,
    /// None: stdout.
    pub(crate) output: Option<PathBuf>,
    pub(crate) format: Format,
    pub(crate) quiet: bool,
}

/// Runs a plan to its end.
///
/// # Errors
/// The output cannot be written, or no thread can be started.
pub(crate) async fn run_with(sandbox: Arc<Sandbox>, plan: Plan, wires: Wires) -> Result<Ended, RunError> {
    let sink = sink(&plan)?;
    assembly::run_with(sandbox, plan.run, sink, wires).await
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
        verbose: plan.run.verbose,
        lines_a_task: match plan.run.what {
            OperationSource::Component { .. } | OperationSource::Native(_) => None,
            OperationSource::Lines { batch, .. } => Some(batch as u64),
        },
    };
    Ok(match plan.format {
        Format::Text => Box::new(TextSink::new(settings, writer)),
        Format::Json => Box::new(JsonSink::new(plan.output.is_some(), writer)),
    })
}
