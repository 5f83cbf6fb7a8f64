//! A worker's instance: sequential calls of `handle`.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use disperse_scheduler::End;
use wasmtime::component::Func;

use super::{
    fault::Fault,
    instance::{Running, Start},
    invocation::Invocation,
    pace::DeficitCounter,
    share::{Admission, Share},
};
use crate::{
    chain::chain,
    imports::{
        abi::{ActionRef, Failure},
        calls::Current,
        files::FileAccess,
        guest_env::{GuestEnv, Logical},
        limiter::Need,
        state::{Role, WorkerRole},
        stdio::Tail,
    },
    load::{component::LoadedComponent, sandbox::Sandbox},
    shortage::HostResource,
};
use disperse_egress::{
    grants::{Denials, Grants},
    http::Access,
};
use disperse_protocol::{
    inbox::{ActionName, Job, LogSource, Reports, Used, Words},
    limits::{Deadline, Limits, Shortage},
    logger::{Level, Logger},
    text::cut,
    units::{Fuel, Size},
};

/// The parameters of a worker.
#[derive(Clone)]
pub struct WorkerSpec {
    pub program: LoadedComponent,
    /// The name of the run, the first part of the names of its actions.
    pub run: Arc<str>,
    /// The name in messages: `pool/worker`.
    pub name: Arc<str>,
    /// Settings, as environment variables.
    pub env: Arc<[(String, String)]>,
    /// How the worker is called, if it is a program.
    pub invocation: Arc<Invocation>,
    pub limits: Limits,
    pub grants: Arc<Grants>,
    /// The file access. None: no folder is granted.
    pub files: Option<Arc<FileAccess>>,
    /// The HTTP access.
    pub http: Arc<Access>,
    /// The log output. It belongs to the worker and not to an instance. Otherwise a guest that traps after each flood
    /// would not be limited.
    pub stderr: Tail,
    /// The time deficit of the worker.
    pub debt: DeficitCounter,
    /// Where denied operations are noted.
    pub denials: Arc<Denials>,
    /// Where its quota reports are noted.
    pub reports: Arc<Reports>,
    /// The share of the host's resources for instances of its pool.
    pub share: Arc<Share>,
    /// The memory that must be reserved for its next instance.
    pub need: Need,
    /// The attempts that one instance runs at once, at least 1. More than one only for an async worker.
    pub slots: u32,
    /// The random seed of the run, for an untrusted worker. Everything that such a worker sees depends only on the seed
    /// and the action, so that other workers compute the same result. It needs a new instance for every attempt.
    pub repeatable: Option<u64>,
}

/// A running worker component.
pub struct WorkerInstance {
    pub running: Running,
    pub handle: Func,
    pub limits: Limits,
    calls: u32,
}

/// The outcome of an attempt, before it is sent to the driver.
#[derive(Debug)]
pub struct Handled {
    pub end: End,
    pub result: Bytes,
    pub words: Option<Box<Words>>,
    pub used: Used,
    /// Whether the instance cannot be used again.
    pub spent: bool,
}

impl Handled {
    /// An attempt that ended without an answer of the guest.
    pub fn fault(fault: &Fault, used: Used) -> Self {
        Self::fault_after(fault, used, String::new())
    }

    /// The same, with the end of the guest's stderr.
    pub fn fault_after(fault: &Fault, used: Used, stderr: String) -> Self {
        let mut message = fault.to_string();
        if matches!(fault, Fault::Timeout { .. }) && used.fuel > 0 {
            message = format!(
                "{message}; it has used {} of fuel and {} of memory",
                Fuel(used.fuel),
                Size(used.memory)
            );
        }
        let failed = Self::failed(fault.end(&stderr), message, used);
        Self {
            spent: true,
            ..failed.with_stderr(stderr).symptom(fault.is_symptom())
        }
    }

    /// Sets whether the message only describes how the guest ended.
    pub fn symptom(mut self, is_symptom: bool) -> Self {
        if let Some(words) = &mut self.words {
            words.is_symptom = is_symptom;
        }
        self
    }

    /// Sets the end of the guest's stderr, if the attempt failed.
    pub fn with_stderr(mut self, stderr: String) -> Self {
        if let Some(words) = &mut self.words {
            words.stderr = stderr;
        }
        self
    }

    /// Converts the failure to one of the machine, which had run out of a resource that the guest requested.
    pub fn for_shortage(self, (shortage, error): (Shortage, String)) -> Self {
        let resource = HostResource::Machine { shortage, error };
        let fault = Fault::HostFull { resource, begun: true };
        let words = self.words.map(|words| Words {
            message: format!("{fault}: {}", words.message),
            ..*words
        });
        Self {
            end: fault.end(""),
            words: words.map(Box::new),
            ..self
        }
    }

    /// A cancelled attempt.
    pub fn stopped() -> Self {
        Self::fault(&Fault::Stopped, Used::default())
    }

    /// An attempt with the guest's answer. `result_max`: the largest result, in bytes.
    pub fn answered((answer,): Return, result_max: u64, used: Used) -> Self {
        match answer {
            Ok(result) if result.len() as u64 <= result_max => Self {
                end: End::Ok,
                result: result.into(),
                words: None,
                used,
                spent: false,
            },
            Ok(_) => Self {
                spent: false,
                ..Self::fault(&Fault::Oversize { limit: result_max }, used)
            },
            Err(failure) => {
                let (end, message) = read(failure);
                Self::failed(end, message, used)
            }
        }
    }

    pub fn failed(end: End, message: String, used: Used) -> Self {
        let words = Words {
            message: cut(message),
            ..Words::default()
        };
        Self {
            end,
            result: Bytes::new(),
            words: Some(Box::new(words)),
            used,
            spent: false,
        }
    }
}

type Params<'a> = (ActionRef<'a>,);
pub(crate) type Return = (Result<Vec<u8>, Failure>,);

impl WorkerInstance {
    /// Starts an admitted worker.
    ///
    /// # Errors
    /// It could not be started.
    ///
    /// Cancel safe.
    pub async fn start(
        sandbox: &Sandbox,
        spec: &WorkerSpec,
        admission: Admission,
        logger: &Logger,
        action: ActionName,
    ) -> Result<Self, Fault> {
        let env = GuestEnv {
            env: spec.env.clone(),
            ..GuestEnv::default()
        };
        let mut running = started(sandbox, spec, admission, logger, action, env).await?;
        let handle = running
            .func::<Params<'static>, Return>(spec.program.inner().exports.handle)
            .map_err(|error| Fault::Start(chain(&error)))?;
        Ok(Self {
            running,
            handle,
            limits: spec.limits,
            calls: 0,
        })
    }

    /// The number of attempts that this instance has made.
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// Makes one attempt. **Not cancel safe**: an instance whose call was cancelled must be dropped.
    pub async fn handle(&mut self, job: Job) -> Handled {
        self.calls += 1;
        let began = Instant::now();
        let deadline = Deadline::after(began, job.timeout);
        self.running.set_fuel(job.fuel);
        set_current(&mut self.running, Some(Current::of(&job, deadline)));
        let action = ActionRef {
            kind: &job.kind,
            payload: &job.payload,
        };
        let answer: Result<wasmtime::Result<Return>, _> = {
            let call = pin!(self.running.call(began, self.handle, (action,)));
            // Most calls end at the first poll, before the timer is armed.
            deadline.bound(call).await
        };
        let mut used = self.running.used();
        used.wall = match &answer {
            Ok(_) => self.running.pace.ended().saturating_duration_since(began),
            Err(_) => began.elapsed(),
        };
        let stderr = stderr_tail(&self.running);
        set_current(&mut self.running, None);
        match answer {
            Ok(Ok(answer)) => Handled::answered(answer, self.limits.result, used).with_stderr(stderr),
            Ok(Err(error)) => Handled::fault_after(&self.running.fault(&error), used, stderr),
            Err(_) => Handled::fault_after(&Fault::Timeout { limit: job.timeout }, used, stderr),
        }
    }
}

/// Sets the running attempt.
pub(crate) fn set_current(running: &mut Running, current: Option<Current>) {
    if let Role::Worker(worker) = &mut running.store.data_mut().role {
        worker.current = current;
    }
}

/// The end of stderr of an attempt that is over. Logs a warning if output was dropped.
pub(crate) fn stderr_tail(running: &Running) -> String {
    let state = running.store.data();
    let Some(talk) = state.stderr.end_attempt() else {
        return String::new();
    };
    if let Some(text) = talk.dropped {
        state.logger.guest(&state.source(), Level::Warning, &text);
    }
    talk.stderr_tail
}

/// Starts the guest of a worker, with its grants added to `env`.
///
/// # Errors
/// It could not be started.
///
/// Cancel safe.
pub(crate) async fn started(
    sandbox: &Sandbox,
    spec: &WorkerSpec,
    admission: Admission,
    logger: &Logger,
    action: ActionName,
    env: GuestEnv,
) -> Result<Running, Fault> {
    let stderr = spec.stderr.clone();
    // Discards the output of a cancelled attempt.
    stderr.end_attempt();
    if logger.forwards_stderr() {
        stderr.forward(LogSource::Worker(spec.name.clone(), None), logger.clone());
    }
    let env = GuestEnv {
        files: spec.files.clone(),
        logical: spec.repeatable.map(|seed| Logical::of_action(seed, action)),
        ..env
    };
    let role = Role::Worker(WorkerRole {
        run: spec.run.clone(),
        name: spec.name.clone(),
        grants: spec.grants.clone(),
        http: spec.http.clone(),
        denials: spec.denials.clone(),
        reports: spec.reports.clone(),
        current: None,
        calls: None,
    });
    let start = Start {
        role,
        env,
        limits: spec.limits,
        logger: logger.clone(),
        stderr,
        debt: spec.debt.clone(),
        admission,
        need: spec.need.clone(),
    };
    Ok(Running::start(sandbox, spec.program.inner(), start).await?)
}

fn read(failure: Failure) -> (End, String) {
    match failure {
        Failure::Retryable(text) => (End::Transient, text),
        Failure::Permanent(text) => (End::Permanent, text),
        Failure::Busy(wait) => (
            End::Busy {
                wait: Duration::from_millis(wait.into()),
            },
            "busy".into(),
        ),
        Failure::Unfit(text) => (End::Unfit, text),
    }
}
