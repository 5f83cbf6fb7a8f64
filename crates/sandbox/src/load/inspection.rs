//! Inspects a file in a child process under limits.
//!
//! All parsing of untrusted files is called from here: types and names, producers, making a component of a core module,
//! and checking whether the component links. The host calls [`in_child`]. The child calls [`in_process`], as does a
//! program without children.

use std::{io, time::Duration};

use super::{
    child::{self, ChildError, ChildLimits, Work},
    error::{InspectionError, LoadError},
    link::links,
};
use crate::inspect::{
    contract::Contract,
    report::{self, Inspection, Problem, Rejection},
    shape::Depth,
};
use disperse_protocol::{digest::Digest, inbox::panic_message, text::cut, units::Size};

/// Memory for inspecting a file, in bytes of address space: a fixed part and a multiple of the file's size. A core
/// module is copied several times while a component is made of it.
const MEMORY: u64 = 640 << 20;
const MEMORY_TIMES_SIZE: u64 = 8;

/// Time for inspecting a file. Types that fill the memory above take 3 s.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The stack of the inspecting thread, in bytes. Parsers take 4 KiB for each of at most a hundred levels of types.
const STACK: usize = 64 << 20;

/// The largest answer, in bytes, without a component that was made of a core module. Its lists have at most 2 MiB
/// before they are written as JSON, where one byte can become six.
const ANSWER_MAX: u64 = 16 << 20;

/// The largest component that is made of a core module, in bytes beyond the module's own size: adapters and types.
const ADDED_MAX: u64 = 64 << 20;

/// The name of the inspecting thread.
const THREAD: &str = "inspection";

/// Whether a panic of this thread is caught and reported as an error about the file. Not all libraries that inspect
/// files were written for untrusted input.
pub fn panics_are_caught() -> bool {
    std::thread::current().name() == Some(THREAD)
}

impl Inspection {
    /// The contract that the file implements.
    ///
    /// # Errors
    /// It implements none, for the given reason.
    pub fn contract(&self) -> Result<Contract, LoadError> {
        match &self.problem {
            Some(Problem::Module(why)) => Err(LoadError::Module(why.clone())),
            problem => {
                let contract = Contract::of_shape(self.shape.clone())?;
                problem.clone().map_or(Ok(contract), |problem| Err(problem.into()))
            }
        }
    }
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
    /// The file is invalid, or no component can be made of it.
    pub(crate) fn found(self) -> Result<(Inspection, Option<Vec<u8>>), LoadError> {
        Ok((self.outcome?, self.component))
    }

    /// The child's output: the length of the answer in 4 bytes (little-endian), the answer as JSON, and the component.
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
        let outcome: Result<Inspection, Rejection> = serde_json::from_slice(rest.get(..length as usize)?).ok()?;
        bytes.drain(..4 + length as usize);
        let component = (!bytes.is_empty()).then_some(bytes);
        // Code is cached under this digest. A child that a component has taken over could name another component.
        let digest = outcome.as_ref().ok().and_then(|inspection| inspection.digest);
        (digest == component.as_deref().map(Digest::of)).then_some(Self { outcome, component })
    }
}

/// Inspects a file in a child process. Blocks. Takes at most 20 s and 640 MiB plus eight times the size of the file.
///
/// # Errors
/// It takes more than these limits.
pub(crate) fn in_child(bytes: &[u8], depth: Depth) -> Result<Answer, InspectionError> {
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
    match child::run(Work::Inspect(depth), &[bytes], limits) {
        Ok(output) => Answer::decode(output).ok_or_else(|| broken("it returned no answer".to_owned())),
        Err(ChildError::Timeout) => Err(InspectionError::Timeout(TIMEOUT.into())),
        Err(ChildError::Cpu(limit)) => Err(InspectionError::Cpu(limit.into())),
        Err(ChildError::Rejected(why)) => Err(InspectionError::Failed(why)),
        Err(ChildError::Broken(how)) => Err(broken(how)),
        Err(ChildError::Start(error)) => Err(InspectionError::Start(error)),
    }
}

/// Inspects a file completely, in a child process as [`in_child`]. For the command `inspect`.
///
/// # Errors
/// It is invalid, or inspecting it takes more than the limits.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, LoadError> {
    Ok(in_child(bytes, Depth::Everything)?.found()?.0)
}

/// The same as [`inspect`], in this process: for tests, in which a panic is a finding.
///
/// # Errors
/// As those of [`inspect`].
pub fn inspect_here(bytes: &[u8]) -> Result<Inspection, LoadError> {
    Ok(in_process(bytes, Depth::Everything)?.found()?.0)
}

/// Inspects a file in this process, on a thread with a stack for a hundred levels of nesting. Nesting and the number of
/// items are limited; time is not.
///
/// # Errors
/// The inspection panics, or no thread can be started.
pub(crate) fn in_process(bytes: &[u8], depth: Depth) -> Result<Answer, InspectionError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(THREAD.into()).stack_size(STACK);
        let thread = thread.spawn_scoped(scope, || Answer::of(bytes, depth));
        let ended = thread.map_err(InspectionError::Start)?.join();
        ended.map_err(|panic| InspectionError::Failed(panic_message(&*panic).to_owned()))
    })
}

impl Answer {
    fn of(bytes: &[u8], depth: Depth) -> Self {
        let found = report::inspect(bytes, depth).and_then(|(inspection, component)| {
            let inspection = linked(inspection, component.as_deref().unwrap_or(bytes), depth)?;
            Ok((inspection, component))
        });
        match found {
            Ok((inspection, component)) => Self {
                outcome: Ok(inspection),
                component,
            },
            Err(rejection) => Self {
                outcome: Err(rejection),
                component: None,
            },
        }
    }
}

/// Adds the reason why a component cannot be linked, if the depth is `Everything`.
fn linked(mut inspection: Inspection, component: &[u8], depth: Depth) -> Result<Inspection, Rejection> {
    if depth == Depth::Everything
        && inspection.problem.is_none()
        && let Ok(contract) = Contract::of_shape(inspection.shape.clone())
    {
        inspection.problem = match links(&contract, component) {
            Err(LoadError::Link(why)) => Some(Problem::Link(cut(why))),
            Err(LoadError::Contract(error)) => return Err(error.into()),
            Err(error) => return Err(Rejection::Invalid(cut(error.to_string()))),
            Ok(()) => None,
        };
    }
    Ok(inspection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_that_names_another_component_is_rejected() {
        let module = wat::parse_str(include_str!("../../../../tests/guests/program.wat")).unwrap();
        let mut answer = in_process(&module, Depth::Declarations).unwrap();
        let made = answer.component.clone().unwrap();
        let decoded = Answer::decode(answer.encode().unwrap()).unwrap();
        assert_eq!(decoded.component.as_deref(), Some(&*made));
        let other = Digest::of(b"another component");
        for (digest, component) in [
            (Some(other), Some(made.clone())),
            (Some(other), None),
            (Some(Digest::of(&made)), None),
            (None, Some(made.clone())),
        ] {
            answer.outcome = answer.outcome.map(|inspection| Inspection { digest, ..inspection });
            answer.component = component;
            assert!(Answer::decode(answer.encode().unwrap()).is_none());
        }
    }
}
