//! Failures without a verdict: which workers an action accuses.

use crate::{
    command::Command,
    ids::{ActionId, AttemptId, Ax, Kx, WorkerId, Wx},
    moment::Moment,
    outcome::Verdict,
};

/// A worker that failed an action, as long as there is no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accused {
    pub(crate) wx: Wx,
    /// The last attempt that failed there.
    pub(crate) number: u32,
    /// How many failed there.
    pub(crate) spent: u32,
    /// When the last of them failed.
    pub(crate) at: Moment,
    /// What the last of them has in common with failures elsewhere.
    pub(crate) mark: Mark,
    /// How many of the last of them in a row have that.
    pub(crate) alike: u32,
    /// It gave a result, which others have contradicted.
    pub(crate) is_outvoted: bool,
}

/// What two failures of one action on different workers may have in common, so that they speak against the action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    None,
    /// The place of a trap.
    Trap(u64),
    /// The worker reported that it is unfit.
    Unfit,
}

impl Accused {
    /// Of a worker whose result others have contradicted.
    pub(crate) fn outvoted(wx: Wx, number: u32, at: Moment) -> Self {
        Self {
            wx,
            number,
            spent: 1,
            at,
            mark: Mark::None,
            alike: 1,
            is_outvoted: true,
        }
    }

    /// Says what became of the accusation.
    pub(crate) fn judged(&self, action: ActionId, worker: WorkerId, verdict: Verdict) -> Command {
        Command::Judged {
            attempt: AttemptId {
                action,
                number: self.number,
            },
            worker,
            verdict,
        }
    }
}

/// An action that a verdict is about: closed, or about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// Where it is, or was, kept.
    pub(crate) ax: Ax,
    pub(crate) id: ActionId,
    pub(crate) kx: Kx,
}
