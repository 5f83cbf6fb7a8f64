//! Compiles components in a child process.

use std::{
    io::{self, Read},
    sync::Arc,
};

use wasmtime::Engine;

use super::{
    child::{self, ChildError, ChildLimits, Work},
    error::CompileError,
    functions::Functions,
};
use crate::{
    chain::chain,
    engine::{self, EngineKind, Space},
    inspect::features,
};
use disperse_protocol::{limits::CompileLimits, units::Size};

/// The largest compiled code, in bytes. Python's code is 60 MiB.
const CODE_MAX: u64 = 1 << 30;

/// The compiled functions that a child is given and returns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shared<'a> {
    /// Records of known functions; see [`Functions`].
    pub(super) known: &'a [u8],
    /// The most bytes of records of other functions that are returned. 0: none are wanted.
    pub(super) added_max: u64,
}

/// The output of a child.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) code: Vec<u8>,
    /// Records of the functions that were not known. They are as trustworthy as the component.
    pub(super) added: Vec<u8>,
    /// The positions of the known functions that were used; see [`Functions::used`]. The child may invent them.
    pub(super) used: Vec<u8>,
}

/// Compiles a component in a child process. Blocks.
///
/// # Errors
/// It does not compile, or not within the limits.
pub(super) fn in_child(
    (kind, space): (EngineKind, Space),
    component: &[u8],
    shared: Shared<'_>,
    limits: &CompileLimits,
) -> Result<Made, CompileError> {
    let size = component.len() as u64;
    let limits = ChildLimits {
        memory: limits.memory(size),
        timeout: limits.timeout(size),
        output: CODE_MAX + shared.added_max + shared.known.len() as u64 + 2 * WORD as u64,
    };
    let broken = |how| {
        let memory = child::memory(limits.memory);
        CompileError::Broken {
            memory: Size(memory),
            own: memory < limits.memory,
            how,
        }
    };
    let header = [shared.known.len() as u64, shared.added_max].map(u64::to_le_bytes);
    let input = [header.as_flattened(), shared.known, component];
    let output = child::run(Work::Compile(kind, space), &input, limits).map_err(|error| match error {
        ChildError::Rejected(why) => CompileError::Rejected(why),
        ChildError::Timeout => CompileError::Timeout(limits.timeout.into()),
        ChildError::Cpu(limit) => CompileError::Cpu(limit.into()),
        ChildError::Broken(how) => broken(how),
        ChildError::Start(error) => CompileError::Start(error),
    })?;
    made(output, shared.added_max).ok_or_else(|| broken("it returned no answer".to_owned()))
}

/// The bytes of a length in the input and the output of a child (little-endian).
const WORD: usize = 8;

/// Splits the output of a child: the code, the added functions and their length, the used ones and their length. None: it
/// is something else.
fn made(mut output: Vec<u8>, added_max: u64) -> Option<Made> {
    let used = split_last(&mut output)?;
    let added = split_last(&mut output)?;
    let is_bounded = added.len() as u64 <= added_max;
    is_bounded.then_some(Made {
        code: output,
        added,
        used,
    })
}

/// Splits off the last part, which is followed by its length.
fn split_last(output: &mut Vec<u8>) -> Option<Vec<u8>> {
    let (rest, length) = output.split_last_chunk::<WORD>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (start, end) = (rest.len().checked_sub(length)?, rest.len());
    output.truncate(end);
    Some(output.split_off(start))
}

/// The work of the child. The input: the length of the known functions, the most bytes of added ones, the known functions and
/// the component. Returns the parts of its output.
///
/// # Errors
/// The input cannot be read, or the component does not compile.
pub(super) fn child((kind, space): (EngineKind, Space), input: &mut impl Read) -> io::Result<Vec<Vec<u8>>> {
    let mut header = [[0; WORD]; 2];
    input.read_exact(header.as_flattened_mut())?;
    let [known_length, added_max] = header.map(u64::from_le_bytes);
    let mut known = Vec::new();
    input.take(known_length).read_to_end(&mut known)?;
    let mut component = Vec::new();
    input.read_to_end(&mut component)?;
    let is_shared = !known.is_empty() || added_max > 0;
    let functions = is_shared.then(|| Arc::new(Functions::new(known, added_max)));
    let engine = engine::compiler(kind, space, functions.clone().map(|functions| functions as _))
        .map_err(|error| io::Error::other(chain(&error)))?;
    let code = in_process(&engine, &component).map_err(io::Error::other)?;
    let (added, used) = functions.map_or_else(Default::default, |functions| (functions.take_added(), functions.used()));
    let length = |part: &Vec<u8>| (part.len() as u64).to_le_bytes().to_vec();
    let (added_length, used_length) = (length(&added), length(&used));
    Ok(vec![code, added, added_length, used, used_length])
}

/// Compiles a component in this process, without limits.
///
/// # Errors
/// It does not compile.
pub(super) fn in_process(engine: &Engine, component: &[u8]) -> Result<Vec<u8>, CompileError> {
    engine.precompile_component(component).map_err(|error| {
        // The bodies of functions are validated here for the first time.
        let why = features::missing_in(component).unwrap_or_else(|| chain(&error));
        CompileError::Rejected(format!("it does not compile: {why}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_a_child_is_split_and_bounded() {
        let word = |length: u64| length.to_le_bytes().to_vec();
        let output = |added_length, used_length| {
            [
                b"code+++++".to_vec(),
                word(added_length),
                b"uu".to_vec(),
                word(used_length),
            ]
            .concat()
        };
        let split = made(output(5, 2), 5).unwrap();
        assert_eq!(
            (&*split.code, &*split.added, &*split.used),
            (&b"code"[..], &b"+++++"[..], &b"uu"[..])
        );
        assert_eq!(made(output(0, 2), 0).unwrap().code, b"code+++++");
        for (added, used, max) in [
            (5, 2, 4),
            (10, 2, 99),
            (u64::MAX, 2, 99),
            (5, u64::MAX, 99),
            (5, 99, 99),
        ] {
            assert_eq!(made(output(added, used), max), None, "{added} {used} {max}");
        }
        assert_eq!(made(b"short".to_vec(), 99), None);
    }
}
