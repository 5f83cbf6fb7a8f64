//! Errors of the engine as text.

use crate::text::{MESSAGE_MAX, bounded, cut};

/// An error with its causes, in one line of at most 4 KiB: names in it are the component's.
pub(crate) fn chain(error: &wasmtime::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        // The backtrace is a cause of many lines whose first says nothing.
        match bounded(cause, "error while executing at wasm backtrace") {
            Some(text) if parts.last() != Some(&text) => parts.push(text),
            _ => {}
        }
        if parts.iter().map(String::len).sum::<usize>() > MESSAGE_MAX {
            break;
        }
    }
    cut(parts.join(": "))
}
