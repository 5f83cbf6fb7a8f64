//! A run of the program: where its events are written, beside the plan of the run itself.

mod rehearsal;

use std::{path::PathBuf, sync::Arc};

use disperse::assembly::{self, Ended, Wires};
pub(crate) use disperse::assembly::{
    InputSource, OperationSource, PoolPlan, RunError, Stopper, WorkerKind, WorkerPlan, wires,
};

pub(crate) use self::rehearsal::{Stage, rehearse};
use crate::{
    report::{EventSink, FilesSink, Format, JsonSink, SideFiles, Target, TextSettings, TextSink, Writer, Written},
    sandbox::{Sandbox, stdout_was_open},
};

/// A run, and where and how its events are written.
pub(crate) struct Plan {
    pub(crate) run: assembly::Plan,
    /// None: stdout.
    pub(crate) output: Option<PathBuf>,
    /// If the run is recorded: how many bytes of the output file are kept.
    pub(crate) kept: Option<u64>,
    /// The files beside the output.
    pub(crate) files: SideFiles,
    pub(crate) format: Format,
    pub(crate) quiet: bool,
}

/// Runs a plan to its end. Returns also how many bytes of its output have reached their target.
pub(crate) async fn run_with(sandbox: Arc<Sandbox>, plan: Plan, wires: Wires) -> (Result<Ended, RunError>, u64) {
    let before = plan.run.recording.as_ref().map_or(0, |recording| recording.written);
    match sink(&plan) {
        Ok((sink, written)) => {
            let ended = assembly::run_with(sandbox, plan.run, sink, wires).await;
            (ended, before + written.bytes())
        }
        Err(error) => (Err(error), before),
    }
}

/// The sink of a run's events.
///
/// # Errors
/// No thread can be started.
fn sink(plan: &Plan) -> Result<(Box<dyn EventSink>, Written), RunError> {
    let target = plan
        .output
        .clone()
        .map_or(Target::Stdout, |path| Target::File(path, plan.kept));
    let progress = !plan.quiet && plan.format == Format::Text;
    let writer = Writer::new(target, stdout_was_open(), progress).map_err(RunError::Start)?;
    let written = writer.written();
    let lines_a_task = match plan.run.what {
        OperationSource::Component { .. } | OperationSource::Native(_) => None,
        OperationSource::Lines { batch, .. } => Some(batch as u64),
    };
    let settings = TextSettings {
        quiet: plan.quiet,
        verbose: plan.run.verbose,
        lines_a_task,
    };
    let sink: Box<dyn EventSink> = match plan.format {
        Format::Text => Box::new(TextSink::new(settings, writer)),
        Format::Json => Box::new(JsonSink::new(plan.output.is_some(), lines_a_task, writer)),
    };
    let files = SideFiles {
        is_resumed: plan
            .run
            .recording
            .as_ref()
            .is_some_and(|recording| recording.history.is_some()),
        ..plan.files.clone()
    };
    let sink = FilesSink::before(sink, &files, lines_a_task).map_err(RunError::Start)?;
    Ok((sink, written))
}
