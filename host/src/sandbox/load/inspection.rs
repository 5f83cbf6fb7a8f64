//! What a file is, found out without running it and answered in a bounded size.
//!
//! Everything that parses a file from outside is called from here: its types and names, its producers, the component that is
//! made of a core module, and whether it can be linked. The host calls [`apart`], so that this happens in a child process under limits; [`here`]
//! is what the child does, and what a program does that has no child.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    child::{self, ChildError, ChildLimits, Work},
    component::LoadError,
    link::links,
};
use crate::{
    digest::Digest,
    inbox::panic_message,
    sandbox::inspect::{
        adapt,
        bounds::{self, BoundsError},
        capacity::{self, CapacityError},
        contract::{Contract, ContractError},
        origin::Origin,
        shape::Shape,
    },
    text::cut,
    units::{Size, Time},
};

/// Memory for inspecting a file, in bytes of address space: so much for any, and so many times its own size beside. A core
/// module is copied several times while a component is made of it.
const MEMORY: u64 = 640 << 20;
const MEMORY_TIMES_SIZE: u64 = 8;

/// Time for inspecting a file. Types that fill the memory above take 3 s.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The stack of the thread that inspects, in bytes. Parsers take 4 KiB for each of at most a hundred levels of types.
const STACK: usize = 64 << 20;

/// The largest answer, without the component that was made of a core module, in bytes. The lists in it have 2 MiB
/// at most before they are written as JSON, where one byte can become six.
const ANSWER_MAX: u64 = 16 << 20;

/// The largest component that is made of a core module, in bytes beyond the module's own size: adapters and types.
const ADDED_MAX: u64 = 64 << 20;

/// Changed when the same file comes to have another answer, or the answer another form.
pub(crate) const VERSION: u32 = 2;

/// The name of the thread that inspects.
const THREAD: &str = "inspection";

/// Whether a panic of this thread is caught and becomes an error about a file: the libraries that inspect were not all written
/// for input from outside.
pub(crate) fn panics_are_caught() -> bool {
    std::thread::current().name() == Some(THREAD)
}

/// How much is inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What a run needs: everything but what functions do, which the compiler validates.
    Declarations,
    /// Functions too, the producers, and whether it can be linked.
    Everything,
}

impl Depth {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Declarations => "declarations",
            Self::Everything => "everything",
        }
    }
}

/// What a file of WebAssembly is. Of a bounded size, whatever is in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inspection {
    /// Of the component; of the core module if none can be made of it.
    pub(crate) shape: Shape,
    /// Of the component, where one was made of a core module.
    pub(crate) digest: Option<Digest>,
    /// Default unless [`Depth::Everything`].
    pub(crate) origin: Origin,
    /// Why it cannot be used, though it is valid. None unless [`Depth::Everything`].
    pub(crate) problem: Option<Problem>,
}

/// Why a valid file cannot be used. Its contract can be another reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Problem {
    /// No component can be made of the core module.
    Module(String),
    /// The imports cannot be linked.
    Link(String),
}

impl From<Problem> for LoadError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Module(why) => Self::Module(why),
            Problem::Link(why) => Self::Link(why),
        }
    }
}

impl Inspection {
    /// What the file is good for.
    ///
    /// # Errors
    /// It is of no use here; says why.
    pub(crate) fn contract(&self) -> Result<Contract, LoadError> {
        match &self.problem {
            Some(Problem::Module(why)) => Err(LoadError::Module(why.clone())),
            problem => {
                let contract = Contract::of_shape(self.shape.clone())?;
                problem.clone().map_or(Ok(contract), |problem| Err(problem.into()))
            }
        }
    }
}

/// Why a file has no [`Inspection`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Rejection {
    NotWasm,
    Invalid(String),
    Feature(String),
    Excessive(String),
    Module(String),
}

impl From<ContractError> for Rejection {
    fn from(error: ContractError) -> Self {
        match error {
            ContractError::NotWasm => Self::NotWasm,
            ContractError::Excessive(why) => Self::Excessive(why),
            ContractError::Invalid(why) => Self::Invalid(cut(why)),
            ContractError::Feature(why) => Self::Feature(why),
            error => Self::Invalid(cut(error.to_string())),
        }
    }
}

impl From<Rejection> for LoadError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NotWasm => ContractError::NotWasm.into(),
            Rejection::Invalid(why) => ContractError::Invalid(why).into(),
            Rejection::Feature(why) => ContractError::Feature(why).into(),
            Rejection::Excessive(why) => ContractError::Excessive(why).into(),
            Rejection::Module(why) => Self::Module(why),
        }
    }
}

/// Why nothing was found out about a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InspectionError {
    #[error("it was not inspected within {0}")]
    Timeout(Time),
    #[error(
        "inspecting it takes more than {memory} of memory, or more stack than there is ({how}){}",
        if *.own { "; raise it with `ulimit -v`" } else { "" }
    )]
    Broken {
        memory: Size,
        /// Whether it is a limit of this process, lower than ours.
        own: bool,
        how: String,
    },
    #[error("it was not inspected within {0} of CPU time, which this process is limited to; raise it with `ulimit -t`")]
    Cpu(Time),
    #[error("inspecting it failed: {0}")]
    Failed(String),
    #[error("what inspects it could not be started: {0}")]
    Start(io::Error),
}

/// The outcome of inspecting a file.
pub(crate) struct Answer {
    outcome: Result<Inspection, Rejection>,
    /// The component that was made of a core module.
    component: Option<Vec<u8>>,
}

impl Answer {
    /// The inspection, and the component that was made of a core module.
    ///
    /// # Errors
    /// The file is not valid, or no component can be made of it.
    pub(crate) fn found(self) -> Result<(Inspection, Option<Vec<u8>>), LoadError> {
        Ok((self.outcome?, self.component))
    }

    /// As the child writes it: the length of the answer in 4 bytes, the answer as JSON, and the component.
    pub(crate) fn encode(&self) -> io::Result<Vec<u8>> {
        let answer = serde_json::to_vec(&self.outcome)?;
        let length = u32::try_from(answer.len()).map_err(io::Error::other)?;
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(answer);
        bytes.extend(self.component.iter().flatten());
        Ok(bytes)
    }

    fn decode(mut bytes: Vec<u8>) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        if u64::from(length) > ANSWER_MAX {
            return None;
        }
        let outcome = serde_json::from_slice(rest.get(..length as usize)?).ok()?;
        bytes.drain(..4 + length as usize);
        Some(Self {
            outcome,
            component: (!bytes.is_empty()).then_some(bytes),
        })
    }
}

/// Inspects a file in a child process. Blocks; takes 20 s and 640 MiB beside eight times the size of the file at most.
///
/// # Errors
/// It takes more.
pub(crate) fn apart(bytes: &[u8], depth: Depth) -> Result<Answer, InspectionError> {
    let size = bytes.len() as u64;
    let limits = ChildLimits {
        memory: MEMORY + MEMORY_TIMES_SIZE * size,
        timeout: TIMEOUT,
        output: 4 + ANSWER_MAX + size + ADDED_MAX,
    };
    let broken = |how: String| {
        let memory = child::memory(limits.memory);
        InspectionError::Broken {
            memory: Size(memory),
            own: memory < limits.memory,
            how,
        }
    };
    match child::run(Work::Inspect(depth), bytes, limits) {
        Ok(output) => Answer::decode(output).ok_or_else(|| broken("it gave no answer".to_owned())),
        Err(ChildError::Timeout) => Err(InspectionError::Timeout(TIMEOUT.into())),
        Err(ChildError::Cpu(limit)) => Err(InspectionError::Cpu(limit.into())),
        Err(ChildError::Refused(why)) => Err(InspectionError::Failed(why)),
        Err(ChildError::Broken(how)) => Err(broken(how)),
        Err(ChildError::Start(error)) => Err(InspectionError::Start(error)),
    }
}

/// Inspects all of a file in a child process, as [`apart`]. For `inspect`.
///
/// # Errors
/// It is not valid, or takes too much to be inspected.
pub(crate) fn inspect(bytes: &[u8]) -> Result<Inspection, LoadError> {
    Ok(apart(bytes, Depth::Everything)?.found()?.0)
}

/// As [`inspect`], in this process.
#[cfg(test)]
pub(crate) fn inspect_here(bytes: &[u8]) -> Result<Inspection, LoadError> {
    Ok(here(bytes, Depth::Everything)?.found()?.0)
}

/// Inspects a file in this process: nested not more than a hundred deep, in a thread with a stack for that, and without more
/// items than are allowed. Time is not limited.
///
/// # Errors
/// It breaks what inspects it, or no thread can be had.
pub(crate) fn here(bytes: &[u8], depth: Depth) -> Result<Answer, InspectionError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(THREAD.into()).stack_size(STACK);
        let thread = thread.spawn_scoped(scope, || Answer::of(bytes, depth));
        let ended = thread.map_err(InspectionError::Start)?.join();
        ended.map_err(|panic| InspectionError::Failed(panic_message(&*panic).to_owned()))
    })
}

impl Answer {
    fn of(bytes: &[u8], depth: Depth) -> Self {
        let mut component = None;
        let outcome = inspected(bytes, depth, &mut component);
        Self {
            component: component.filter(|_| outcome.is_ok()),
            outcome,
        }
    }
}

/// Inspects a file. Leaves in `made` the component that was made of a core module.
fn inspected(bytes: &[u8], depth: Depth, made: &mut Option<Vec<u8>>) -> Result<Inspection, Rejection> {
    if !bytes.starts_with(b"\0asm") {
        return Err(Rejection::NotWasm);
    }
    bounded(bytes, "file")?;
    let origin = match depth {
        Depth::Declarations => Origin::default(),
        // Of the file as it is: the component that is made of a module has the marks of adapters.
        Depth::Everything => Origin::of(bytes),
    };
    let component = match adapt::is_module(bytes) {
        false => bytes,
        true => match adapted(bytes) {
            Ok(component) => {
                bounded(&component, "component that was made of it")?;
                &*made.insert(component)
            }
            Err(why) if depth == Depth::Everything => {
                return Ok(Inspection {
                    shape: Shape::of_module(bytes)?,
                    digest: None,
                    origin,
                    problem: Some(Problem::Module(why)),
                });
            }
            Err(why) => return Err(Rejection::Module(why)),
        },
    };
    let shape = Shape::of(component, depth)?;
    has_room(component)?;
    let problem = match (depth, Contract::of_shape(shape.clone())) {
        (Depth::Everything, Ok(contract)) => match links(&contract, component) {
            Err(LoadError::Link(why)) => Some(Problem::Link(cut(why))),
            Err(LoadError::Contract(error)) => return Err(error.into()),
            Err(error) => return Err(Rejection::Invalid(cut(error.to_string()))),
            Ok(()) => None,
        },
        _ => None,
    };
    Ok(Inspection {
        digest: made.as_deref().map(Digest::of),
        shape,
        origin,
        problem,
    })
}

fn bounded(bytes: &[u8], what: &str) -> Result<(), Rejection> {
    bounds::check(bytes).map_err(|error| match error {
        BoundsError::Invalid(error) => Rejection::Invalid(cut(error.to_string())),
        error => Rejection::Excessive(format!("this {what} is not inspected: {error}")),
    })
}

/// Whether an engine has room for it.
fn has_room(component: &[u8]) -> Result<(), Rejection> {
    capacity::check(component).map_err(|error| match error {
        CapacityError::Invalid(error) => Rejection::Invalid(cut(error.to_string())),
        error => Rejection::Excessive(format!("this component cannot be loaded: {error}")),
    })
}

/// Makes a component of a core module. A panic is an error: what makes it was not written for input from outside.
fn adapted(module: &[u8]) -> Result<Vec<u8>, String> {
    match catch_unwind(AssertUnwindSafe(|| adapt::component(module))) {
        Ok(made) => made.map_err(|error| cut(error.to_string())),
        Err(panic) => Err(cut(format!(
            "no component can be made of this core WebAssembly module: {}",
            panic_message(&*panic)
        ))),
    }
}
