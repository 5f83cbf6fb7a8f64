//! Formats the frames of a trap for people: with names as in the source, and without the functions of panic handling,
//! which are the same in every trap.

use wasmtime::WasmBacktrace;

use disperse_protocol::text::{MESSAGE_MAX, shown};

/// The most frames of a backtrace that are shown.
const FRAMES_MAX: usize = 8;

/// The same if no frame has a name, as without debug information: numbers are of little use. Arbitrary.
const NAMELESS_MAX: usize = 2;

/// The most bytes of all frames together, so that the rest of the message fits.
const FRAMES_SIZE_MAX: usize = MESSAGE_MAX - 512;

/// Prefixes of functions between a mistake and its trap, or between the host and the guest's own code.
const MACHINERY: [&str; 24] = [
    // Rust.
    "rust_begin_unwind",
    "rust_panic",
    "__rust_start_panic",
    "__rust_abort",
    "__rustc::",
    "core::panicking::",
    "core::option::expect_failed",
    "core::option::unwrap_failed",
    "core::result::unwrap_failed",
    "core::slice::index::slice_",
    "core::str::slice_error_fail",
    "core::ops::function::",
    "std::panicking::",
    "std::panic::",
    "std::process::",
    "std::rt::",
    "std::sys::",
    // Interpreters of Python and JavaScript, whose own messages contain the relevant frames.
    "_Py",
    "Py",
    "_ZN2js",
    "_ZN2JS",
    // Go.
    "runtime.",
    "internal/",
    "__main_void",
];

/// The same as whole names: C, and the functions that toolchains add around `main`.
const MACHINERY_NAMES: [&str; 9] = [
    "abort",
    "raise",
    "exit",
    "_Exit",
    "__assert_fail",
    "_start",
    "__original_main",
    "__wasm_call_ctors",
    "__muloti4",
];

/// The frames to show of a backtrace, the innermost first. Empty if all of them are machinery.
pub(super) fn frames(backtrace: &WasmBacktrace) -> Vec<String> {
    let frames: Vec<_> = backtrace
        .frames()
        .iter()
        .map(|frame| {
            let name = frame.func_name().map(demangled);
            let name = name.unwrap_or_else(|| format!("function {}", frame.func_index()));
            (frame.module().name(), name)
        })
        .filter(|(_, name)| !is_machinery(name))
        .collect();
    // Most components have one module of their own, whose name is no information.
    let first = frames.first().and_then(|(module, _)| *module);
    let are_of_one = frames.iter().all(|(module, _)| *module == first);
    let are_named = backtrace.frames().iter().any(|frame| frame.func_name().is_some());
    let max = if are_named { FRAMES_MAX } else { NAMELESS_MAX };
    let mut left = FRAMES_SIZE_MAX;
    let frames = frames.iter().take(max).map(|(module, name)| match module {
        Some(module) if !are_of_one => format!("{}!{}", shown(module), shown(name)),
        _ => shown(name),
    });
    frames
        .take_while(|frame| {
            left = left.saturating_sub(frame.len());
            left > 0
        })
        .collect()
}

/// A Rust name as in the source, without its hash; other names unchanged.
fn demangled(name: &str) -> String {
    match rustc_demangle::try_demangle(name) {
        // An extremely long name is cut where it is shown.
        Ok(demangled) => format!("{demangled:#}"),
        Err(_) => name.to_owned(),
    }
}

fn is_machinery(name: &str) -> bool {
    // `<T as core::ops::function::FnOnce>::call_once` and the like.
    let name = name.trim_start_matches('<');
    MACHINERY_NAMES.contains(&name) || MACHINERY.iter().any(|known| name.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_demangled_and_machinery_is_recognised() {
        for (name, shown, machinery) in [
            ("abort", "abort", true),
            ("_RNvNtCshXfaRvt2tfW_3std7process5abort", "std::process::abort", true),
            (
                "_RNCNvNtCshXfaRvt2tfW_3std9panicking13panic_handler0B5_",
                "std::panicking::panic_handler::{closure#0}",
                true,
            ),
            ("_RNvCsfLfy6EI15iL_7___rustc10rust_panic", "__rustc::rust_panic", true),
            (
                "_ZN4core9panicking18panic_bounds_check17h0123456789abcdefE",
                "core::panicking::panic_bounds_check",
                true,
            ),
            ("_ZN1p5inner17h0123456789abcdefE", "p::inner", false),
            ("runtime.gopanic", "runtime.gopanic", true),
            ("main.handle", "main.handle", false),
            ("abort_the_mission", "abort_the_mission", false),
            (
                "exports_disperse_guest_worker_handle",
                "exports_disperse_guest_worker_handle",
                false,
            ),
        ] {
            assert_eq!(demangled(name), shown);
            assert_eq!(is_machinery(shown), machinery, "{shown}");
        }
    }
}
