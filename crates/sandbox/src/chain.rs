//! Formats errors of wasmtime as text.

use disperse_protocol::text::{MESSAGE_MAX, bounded, cut};

/// An error with its causes, on one line of at most 4 KiB. Names in it are untrusted: the component chooses them.
pub(crate) fn chain(error: &wasmtime::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        // A backtrace has many lines, and its first line carries no information.
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
