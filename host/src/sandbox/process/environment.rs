//! The environment that this process was started with, as the system keeps showing it.

use std::{
    ffi::{CStr, c_char},
    ptr,
};

#[allow(
    unsafe_code,
    reason = "the standard library does not tell where the variables are, and copies of them are of no use here"
)]
mod system {
    use super::c_char;

    unsafe extern "C" {
        /// Texts of the form `NAME=VALUE`, and then null.
        pub(crate) static environ: *const *mut c_char;
    }
}

/// Takes variables out of the environment, and out of the memory in which `/proc/PID/environ` shows it for as long as the process
/// lives: there any program of this user could read them.
///
/// To be called while no other thread uses the environment, which is before the runtime starts: the thread that waits for signals reads
/// nothing of it but whether there are to be colors, by the standard library and its lock.
#[allow(
    unsafe_code,
    reason = "what the process was started with can be overwritten only in its place"
)]
pub(crate) fn forget_variables<'a>(names: impl IntoIterator<Item = &'a str>) {
    for name in names {
        // SAFETY: it is null, or an array that ends in null, of texts that end in zero. All of them are memory of this process
        // that may be written to: the system's own copy of the environment on the first stack, or what `setenv` has allocated.
        // No other thread reads or moves them meanwhile; see above.
        unsafe {
            let mut at = system::environ;
            while !at.is_null() && !(*at).is_null() {
                let text = *at;
                let (all, bytes) = (CStr::from_ptr(text).count_bytes(), CStr::from_ptr(text).to_bytes());
                let value = bytes
                    .strip_prefix(name.as_bytes())
                    .and_then(|rest| rest.strip_prefix(b"="));
                if let Some(length) = value.map(<[u8]>::len) {
                    for index in all - length..all {
                        // Volatile, because nothing here reads it any more.
                        ptr::write_volatile(text.add(index), 0);
                    }
                }
                at = at.add(1);
            }
            std::env::remove_var(name);
        }
    }
}
