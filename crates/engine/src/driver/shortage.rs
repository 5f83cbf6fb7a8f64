//! What was seen of a shortage of the machine.

use disperse_scheduler::Moment;

/// What was seen of a shortage.
#[derive(Debug, Default)]
pub(super) struct Shortages {
    /// Since when nothing else was seen.
    pub(super) since: Option<Moment>,
    /// When it was last looked at whether attempts go on.
    pub(super) looked: Moment,
    /// Why the run ends.
    pub(super) fatal: Option<String>,
}

impl Shortages {
    /// Why the run ended, if a shortage is why.
    pub(super) fn take_fatal(&mut self) -> Option<String> {
        self.fatal.take()
    }
}
