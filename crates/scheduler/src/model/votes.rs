//! Votes of workers that have an owner.

use crate::{
    ids::{Ox, Wx},
    moment::Moment,
    outcome::End,
};

/// The ballots of a permanent failure and of a result that is too large.
const PERMANENT: u32 = u32::MAX;

const OVERSIZE: u32 = u32::MAX - 1;

/// The vote of one worker on an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    pub(crate) wx: Wx,
    pub(crate) ox: Ox,
    pub(crate) number: u32,
    pub(crate) ballot: u32,
    pub(crate) at: Moment,
}

impl End {
    /// Its number as a vote. None: it is no vote.
    pub(crate) fn ballot(self) -> Option<u32> {
        match self {
            Self::Vote { ballot } => Some(ballot.min(OVERSIZE - 1)),
            Self::Permanent => Some(PERMANENT),
            Self::Oversize => Some(OVERSIZE),
            _ => None,
        }
    }
}
