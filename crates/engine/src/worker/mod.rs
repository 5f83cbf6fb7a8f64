//! Workers without a sandbox.

mod native;

pub use self::native::{NativeAttempt, NativeCall, NativeWorker};
