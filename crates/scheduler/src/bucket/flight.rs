//! An attempt between dispatch and answer, as a bucket counts it.

use crate::moment::Moment;

/// An attempt that is not over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flight {
    pub(super) units: u64,
    pub(super) dispatched: Moment,
    /// Units that had ended by then, ever.
    pub(super) ended_before: u64,
    /// Loose units that had, and in which generation of windows.
    pub(super) loose_before: (u32, u64),
    /// The generation of windows in which it is known to be counted.
    pub(super) counted: u32,
    /// A rate has it behind itself: the service has said that it was counted.
    pub(super) is_paced: bool,
}
