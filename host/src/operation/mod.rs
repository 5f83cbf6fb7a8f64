//! The operation that is a component. Others are the engine's.

mod component;

pub(crate) use disperse_engine::operation::*;

pub(crate) use self::component::{ComponentOperation, OperationSettings};
