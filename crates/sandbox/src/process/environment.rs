//! Removes variables from the environment block that this process was started with.

use std::{
    ffi::{CStr, c_char},
    ptr,
};

#[allow(
    unsafe_code,
    reason = "the standard library does not expose the address of the variables, and only returns copies"
)]
mod system {
    use super::c_char;

    unsafe extern "C" {
        /// An array of strings `NAME=VALUE`, terminated by null.
        pub(super) static environ: *const *mut c_char;
    }
}

/// Removes variables from the environment and overwrites their values in memory. Otherwise every program of this user
/// could read them in `/proc/PID/environ` until this process ends.
///
/// Must be called while no other thread uses the environment, so before the runtime starts. The thread that waits for
/// signals reads only the variables for colors, through the standard library and its lock.
#[allow(
    unsafe_code,
    reason = "the initial environment block can be overwritten only in place"
)]
pub fn forget_variables<'a>(names: impl IntoIterator<Item = &'a str>) {
    for name in names {
        // SAFETY: `environ` is null, or an array of NUL-terminated strings that ends in null. All of them are writable
        // memory of this process: the kernel's copy of the environment on the initial stack, or memory that `setenv`
        // allocated. No other thread reads or moves them meanwhile; see above.
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
                        // Volatile, because the compiler may remove a store that is never read.
                        ptr::write_volatile(text.add(index), 0);
                    }
                }
                at = at.add(1);
            }
            std::env::remove_var(name);
        }
    }
}
