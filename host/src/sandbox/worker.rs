//! A worker's instance: `handle`, over and over.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use disperse_scheduler::End;
use wasmtime::component::Func;

use super::{
    abi::{ActionRef, Failure},
    fault::Fault,
    instance::{Running, Start},
    program::{Program, Sandbox},
    state::{Role, WorkerRole},
    stdio::Tail,
    world::World,
};
use crate::{
    inbox::{Job, Speaker, Used},
    limits::Limits,
    logger::Logger,
};

/// What a worker is started from.
#[derive(Clone)]
pub(crate) struct WorkerSpec {
    pub(crate) program: Program,
    /// For people: `pool/worker`.
    pub(crate) name: Arc<str>,
    /// Settings, as environment variables.
    pub(crate) env: Arc<[(String, String)]>,
    pub(crate) limits: Limits,
}

/// A worker component that runs.
pub(crate) struct WorkerInstance {
    running: Running,
    handle: Func,
    limits: Limits,
    calls: u32,
}

/// How an attempt went, before it is told to the driver.
#[derive(Debug)]
pub(crate) struct Handled {
    pub(crate) end: End,
    pub(crate) result: Bytes,
    pub(crate) message: String,
    pub(crate) stderr: String,
    pub(crate) used: Used,
    /// Whether the instance is spent.
    pub(crate) spent: bool,
}

impl Handled {
    /// An attempt that did not reach a guest's answer.
    pub(crate) fn fault(fault: &Fault, used: Used, stderr: String) -> Self {
        Self {
            end: fault.end(),
            result: Bytes::new(),
            message: fault.to_string(),
            stderr,
            used,
            spent: true,
        }
    }
}

type Params<'a> = (ActionRef<'a>,);
type Return = (Result<Vec<u8>, Failure>,);

impl WorkerInstance {
    /// Starts one.
    ///
    /// # Errors
    /// It could not be started.
    ///
    /// Cancel safe.
    pub(crate) async fn start(sandbox: &Sandbox, spec: &WorkerSpec, logger: &Logger) -> Result<Self, Fault> {
        let stderr = Tail::default();
        if logger.workers_aloud() {
            stderr.aloud(Speaker::Worker(spec.name.clone(), None), logger.clone());
        }
        let world = World {
            env: spec.env.clone(),
            ..World::default()
        };
        let role = Role::Worker(WorkerRole {
            name: spec.name.clone(),
            current: None,
        });
        let start = Start {
            role,
            world,
            limits: spec.limits,
            logger: logger.clone(),
            stderr,
        };
        let mut running = Running::start(sandbox, spec.program.inner(), start).await?;
        let handle = running
            .func::<Params<'static>, Return>(spec.program.inner().exports.handle)
            .map_err(|error| Fault::Start(super::fault::chain(&error)))?;
        Ok(Self {
            running,
            handle,
            limits: spec.limits,
            calls: 0,
        })
    }

    /// How many attempts this instance has made.
    pub(crate) fn calls(&self) -> u32 {
        self.calls
    }

    /// Makes one attempt.
    ///
    /// **Not cancel safe**: an instance whose call was given up is spent and must be dropped.
    pub(crate) async fn handle(&mut self, job: Job) -> Handled {
        self.calls += 1;
        let began = Instant::now();
        let (kind, payload) = (job.kind.clone(), job.payload.clone());
        self.running.set_fuel(job.fuel);
        let timeout = job.timeout;
        if let Role::Worker(worker) = &mut self.running.store.data_mut().role {
            worker.current = Some((job, began + timeout));
        }
        let call = self.running.call(
            self.handle,
            (ActionRef {
                kind: &kind,
                payload: &payload,
            },),
        );
        // Most calls end at the first poll, before the timer is armed.
        let answer: Result<wasmtime::Result<Return>, _> = tokio::time::timeout(timeout, call).await;
        let mut used = self.running.used();
        used.wall = began.elapsed();
        let handled = match answer {
            Ok(Ok((Ok(result),))) if result.len() as u64 <= self.limits.result => Handled {
                end: End::Ok,
                result: result.into(),
                message: String::new(),
                stderr: String::new(),
                used,
                spent: false,
            },
            Ok(Ok((Ok(_),))) => {
                let fault = Fault::Oversize {
                    limit: self.limits.result,
                };
                Handled {
                    spent: false,
                    ..Handled::fault(&fault, used, String::new())
                }
            }
            Ok(Ok((Err(failure),))) => {
                let (end, message) = read(failure);
                Handled {
                    end,
                    result: Bytes::new(),
                    message,
                    stderr: String::new(),
                    used,
                    spent: false,
                }
            }
            Ok(Err(error)) => {
                let fault = self.running.fault(&error);
                Handled::fault(&fault, used, String::new())
            }
            Err(_) => Handled::fault(&Fault::Timeout { limit: timeout }, used, String::new()),
        };
        let state = self.running.store.data_mut();
        if let Role::Worker(worker) = &mut state.role {
            worker.current = None;
        }
        if handled.end == End::Ok {
            return handled;
        }
        let stderr = state.stderr.take();
        Handled { stderr, ..handled }
    }
}

/// The longest message of a failure that is kept.
const MESSAGE_MAX: usize = 4 << 10;

fn read(failure: Failure) -> (End, String) {
    let cut = |text: String| match text.char_indices().nth(MESSAGE_MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    };
    match failure {
        Failure::Retryable(text) => (End::Transient, cut(text)),
        Failure::Permanent(text) => (End::Permanent, cut(text)),
        Failure::Busy(wait) => (
            End::Busy {
                wait: Duration::from_millis(wait.into()),
            },
            "busy".into(),
        ),
        Failure::Unfit(text) => (End::Unfit, cut(text)),
    }
}
