//! Panics of the host.

use std::panic::PanicHookInfo;

use crate::{
    cli::console::{Failure, exit, print_stderr},
    inbox::panic_message,
    limits::Shortage,
    sandbox::panics_are_caught,
};

/// Makes each panic that the sandbox does not catch end the process with a report.
pub(crate) fn install_hook() {
    // A panic in any thread or tokio task is a bug of the host. Without it the run could hang or report wrong results.
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if panics_are_caught() {
            return;
        }
        if let Some((shortage, why)) = shortage(info) {
            Failure::machine("cannot continue", &std::io::Error::other(why))
                .hint(shortage.hint())
                .print();
            std::process::exit(exit::MACHINE.into());
        }
        default_hook(info);
        print_stderr("error: this is a bug of disperse-host; please report it with the lines above");
        std::process::exit(exit::BUG.into());
    }));
}

/// The shortage behind a panic, and its message. Tokio, the standard library and rayon panic if they cannot start a thread or open a
/// pipe.
fn shortage(info: &PanicHookInfo<'_>) -> Option<(Shortage, String)> {
    let text = panic_message(info.payload());
    let threads = [
        "OS can't spawn worker thread",
        "failed to spawn thread",
        "The global thread pool has not been initialized",
    ];
    let shortage = match text {
        _ if threads.iter().any(|known| text.starts_with(known)) && text.contains("unavailable") => Shortage::Threads,
        _ if text.starts_with("failed to create UnixStream") && text.contains("open files") => Shortage::Files,
        _ => return None,
    };
    Some((shortage, text.to_owned()))
}
