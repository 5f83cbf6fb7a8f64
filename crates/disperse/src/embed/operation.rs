//! The description of an operation before its run starts.

use std::{fmt, future::Future, sync::Arc};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream, stream::BoxStream};

use super::{Component, Host, Limits, StartError, Task, TaskError};
use crate::{
    assembly::OperationSource,
    operation::{LineWriting, NativeTask, NativeTasks},
};
use disperse_protocol::{limits, text::cut};

/// The operation of a run, which produces its actions.
pub struct Operation {
    source: Source,
    args: Vec<String>,
    limits: Limits,
}

enum Source {
    Component(Component),
    Lines {
        kind: String,
        batch: usize,
        idempotent: bool,
    },
    Native {
        inputs: BoxStream<'static, Bytes>,
        run: NativeTask,
    },
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source: &dyn fmt::Debug = match &self.source {
            Source::Component(component) => component,
            Source::Lines { kind, .. } => kind,
            Source::Native { .. } => &"native",
        };
        f.debug_struct("Operation")
            .field("source", source)
            .finish_non_exhaustive()
    }
}

/// The text of an error with its sources, for people, cut to the length that is kept.
fn error_text(error: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        let more = error.to_string();
        // Many errors include their source's text in their own.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        behind = error.source();
    }
    cut(text)
}

impl Operation {
    fn new(source: Source) -> Self {
        Self {
            source,
            args: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// A component that exports an operation. It reads the run's input as its stdin. Its tasks are deterministic: the
    /// same answers lead to the same actions and output.
    pub fn component(component: &Component) -> Self {
        Self::new(Source::Component(component.clone()))
    }

    /// An operation without code: each line of the run's input, without its newline, is a task with one action of this
    /// kind, and its output is the result followed by a newline.
    pub fn lines(kind: impl Into<String>) -> Self {
        Self::new(Source::Lines {
            kind: kind.into(),
            batch: 1,
            idempotent: false,
        })
    }

    /// An async function of this program, called once for each input. What it returns is written to the run's output,
    /// unchanged, unless it is empty. See [`Task`] for how it sends actions.
    ///
    /// Inputs are taken ahead up to the number of [tasks in flight](crate::RunBuilder::tasks); `next` of the iterator
    /// is called on the runtime and should not block. An error or a panic ends its task, and the other tasks go on; at
    /// most 4 KiB of an error's text, sources included, are reported.
    ///
    /// **Not deterministic and not durable**: a native task sees answers as they come, has the real clock, and starts
    /// over with its program.
    ///
    /// ```
    /// use disperse::{Action, Operation, Task};
    ///
    /// let operation = Operation::native(["3", "4"], |task: Task| async move {
    ///     let square = task.perform(Action::new("square", task.input().clone())).await?;
    ///     Ok(square)
    /// });
    /// ```
    pub fn native<I, F, T, R>(inputs: I, run: F) -> Self
    where
        I: IntoIterator<Item: Into<Bytes>, IntoIter: Send + 'static>,
        F: Fn(Task) -> T + Send + Sync + 'static,
        T: Future<Output = Result<R, TaskError>> + Send + 'static,
        R: Into<Bytes>,
    {
        Self::native_stream(stream::iter(inputs), run)
    }

    /// As [`Operation::native`], for inputs that arrive over time. The run goes on until the stream ends.
    pub fn native_stream<I, F, T, R>(inputs: I, run: F) -> Self
    where
        I: Stream<Item: Into<Bytes>> + Send + 'static,
        F: Fn(Task) -> T + Send + Sync + 'static,
        T: Future<Output = Result<R, TaskError>> + Send + 'static,
        R: Into<Bytes>,
    {
        let inputs = inputs.map(Into::into).boxed();
        let run: NativeTask = Arc::new(move |port| {
            let done = run(Task::new(port));
            Box::pin(async move { done.await.map(Into::into).map_err(|error| error_text(&*error)) })
        });
        Self::new(Source::Native { inputs, run })
    }

    /// Adds an argument of a component. Its first argument is always its own name. Other operations ignore it.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments; see [`Operation::arg`].
    #[must_use]
    pub fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The number of lines in one action, from 1, which is the default; 0 counts as 1. Only for [`Operation::lines`].
    #[must_use]
    pub fn batch(mut self, lines: usize) -> Self {
        if let Source::Lines { batch, .. } = &mut self.source {
            *batch = lines.max(1);
        }
        self
    }

    /// Whether running a line twice does no harm; see [`Action::idempotent`](crate::Action::idempotent). Only for
    /// [`Operation::lines`].
    #[must_use]
    pub fn idempotent(mut self, may_be_repeated: bool) -> Self {
        if let Source::Lines { idempotent, .. } = &mut self.source {
            *idempotent = may_be_repeated;
        }
        self
    }

    /// The limits of the planner and of each task.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The source of the run's actions.
    ///
    /// # Errors
    /// The limits are invalid.
    pub(super) fn what(self, host: &Host) -> Result<OperationSource, StartError> {
        let wrong = |why| StartError::Setting(format!("invalid limits of the operation: {why}"));
        self.limits.check().map_err(wrong)?;
        let task_limits = self.limits.over(limits::Limits::WORKER);
        match self.source {
            Source::Component(component) => {
                let named = component.name().to_owned();
                if !component.is_of(host) {
                    return Err(StartError::OtherHost { component: named });
                }
                if !component.is_operation() {
                    return Err(StartError::NotAnOperation { component: named });
                }
                Ok(OperationSource::Component {
                    program: component.program,
                    args: std::iter::once(named).chain(self.args).collect(),
                    task_limits,
                    planner_limits: self.limits.over(limits::Limits::PLANNER),
                })
            }
            Source::Lines {
                kind,
                batch,
                idempotent,
            } => Ok(OperationSource::Lines {
                kind,
                batch,
                end: b'\n',
                files: None,
                idempotent,
                writing: LineWriting::default(),
                payload_max: usize::try_from(task_limits.result).unwrap_or(usize::MAX),
            }),
            Source::Native { inputs, run } => Ok(OperationSource::Native(NativeTasks {
                inputs,
                run,
                in_flight: task_limits.in_flight,
            })),
        }
    }
}
