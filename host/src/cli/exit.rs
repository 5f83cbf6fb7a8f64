//! Exit codes. Where several hold, the first in this order counts: 70, one of a signal, 4, 3, 1.

use crate::report::Summary;

/// Every task is done.
pub(super) const DONE: u8 = 0;
/// Some task ended in an error, or the operation itself failed.
pub(super) const FAILED: u8 = 1;
/// Wrong usage, manifest or component; nothing ran.
pub(super) const USAGE: u8 = 2;
/// The workers or what they depend on failed: actions were left for which no worker was.
pub(super) const SYSTEMIC: u8 = 3;
/// The machine stopped it: the output cannot be written, or there is no memory, open file or thread left that it needs.
pub(super) const MACHINE: u8 = 4;
/// A bug of ours.
pub(super) const BUG: u8 = 70;
/// Stopped by SIGHUP, as when its terminal is closed.
pub(super) const HUNG_UP: u8 = 129;
/// Stopped by SIGINT, that is Ctrl-C, or by `drain`.
pub(super) const INTERRUPTED: u8 = 130;
/// Stopped by SIGTERM.
pub(super) const TERMINATED: u8 = 143;

/// For a run that came to an end. `signal`: what stopped it, or 0.
pub(super) fn code(summary: &Summary, signal: u8) -> u8 {
    if summary.interrupted {
        // Without a signal somebody asked for it through the socket.
        if signal == 0 { INTERRUPTED } else { signal }
    } else if summary.unroutable > 0 || (!summary.systemic.is_empty() && summary.tasks.failed > 0) {
        SYSTEMIC
    } else if summary.failure.is_some() || summary.tasks.failed > 0 {
        FAILED
    } else {
        DONE
    }
}
