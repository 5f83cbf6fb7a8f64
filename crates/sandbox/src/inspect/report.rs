//! Inspects a file without running it. The result has a bounded size.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use super::{
    adapt,
    bounds::{self, BoundsError},
    capacity::{self, CapacityError},
    error::ContractError,
    origin::Origin,
    shape::{Depth, Shape},
};
use disperse_protocol::{digest::Digest, inbox::panic_message, text::cut};

/// The version of the inspection. Incremented when results or their format change.
pub(crate) const VERSION: u32 = 2;

/// The result of inspecting a WebAssembly file. Its size is bounded for every file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// The shape of the component, or of the core module if no component can be made of it.
    pub shape: Shape,
    /// The digest of the component, if it was made of a core module.
    pub digest: Option<Digest>,
    /// The language and tools. Empty unless [`Depth::Everything`].
    pub origin: Origin,
    /// Why it cannot be used although it is valid. None unless [`Depth::Everything`].
    pub problem: Option<Problem>,
}

/// Why a valid file cannot be used. A contract error is another possible reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Problem {
    /// No component can be made of the core module.
    Module(String),
    /// The imports cannot be linked.
    Link(String),
}

/// Why a file has no [`Inspection`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rejection {
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

/// Inspects a file. Returns the result, and the component that was made of it if it is a core module. Does not check
/// whether the component links.
///
/// # Errors
/// It is invalid or over a limit. At [`Depth::Declarations`] also: no component can be made of it.
pub(crate) fn inspect(bytes: &[u8], depth: Depth) -> Result<(Inspection, Option<Vec<u8>>), Rejection> {
    if !bytes.starts_with(b"\0asm") {
        return Err(Rejection::NotWasm);
    }
    bounded(bytes, "file")?;
    let origin = match depth {
        Depth::Declarations => Origin::default(),
        // Of the original file: a component that is made of a module contains the adapters' traces.
        Depth::Everything => Origin::of(bytes),
    };
    let mut made = None;
    let component = match adapt::is_module(bytes) {
        false => bytes,
        true => match adapted(bytes) {
            Ok(component) => {
                bounded(&component, "component that was made of it")?;
                &*made.insert(component)
            }
            Err(why) if depth == Depth::Everything => {
                let inspection = Inspection {
                    shape: Shape::of_module(bytes)?,
                    digest: None,
                    origin,
                    problem: Some(Problem::Module(why)),
                };
                return Ok((inspection, None));
            }
            Err(why) => return Err(Rejection::Module(why)),
        },
    };
    let shape = Shape::of(component, depth)?;
    check_capacity(component)?;
    let inspection = Inspection {
        digest: made.as_deref().map(Digest::of),
        shape,
        origin,
        problem: None,
    };
    Ok((inspection, made))
}

fn bounded(bytes: &[u8], what: &str) -> Result<(), Rejection> {
    bounds::check(bytes).map_err(|error| match error {
        BoundsError::Invalid(error) => Rejection::Invalid(cut(error.to_string())),
        error => Rejection::Excessive(format!("this {what} is not inspected: {error}")),
    })
}

/// Checks that the component fits an engine.
fn check_capacity(component: &[u8]) -> Result<(), Rejection> {
    capacity::check(component).map_err(|error| match error {
        CapacityError::Invalid(error) => Rejection::Invalid(cut(error.to_string())),
        error => Rejection::Excessive(format!("this component cannot be loaded: {error}")),
    })
}

/// Makes a component of a core module. A panic counts as an error: the libraries were not written for untrusted input.
fn adapted(module: &[u8]) -> Result<Vec<u8>, String> {
    match catch_unwind(AssertUnwindSafe(|| adapt::component(module))) {
        Ok(made) => made.map_err(|error| cut(error.to_string())),
        Err(panic) => Err(cut(format!(
            "no component can be made of this core WebAssembly module: {}",
            panic_message(&*panic)
        ))),
    }
}
