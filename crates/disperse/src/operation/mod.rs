//! The operation that is a component. Others are the engine's.

mod component;

pub use disperse_engine::operation::*;

pub use self::component::{ComponentOperation, OperationSettings};
