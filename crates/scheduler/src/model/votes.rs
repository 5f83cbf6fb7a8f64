use crate::ids::{Ox, Wx};
use crate::moment::Moment;
use crate::outcome::End;

/// The ballots of those who say that an action can never work, or that its result is too large.
const PERMANENT: u32 = u32::MAX;

const OVERSIZE: u32 = u32::MAX - 1;

/// What one worker said of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    pub(crate) wx: Wx,
    pub(crate) ox: Ox,
    pub(crate) number: u32,
    pub(crate) ballot: u32,
    pub(crate) at: Moment,
}

impl End {
    /// What it says as a vote. None: nothing.
    pub(crate) fn ballot(self) -> Option<u32> {
        match self {
            Self::Vote { ballot } => Some(ballot.min(OVERSIZE - 1)),
            Self::Permanent => Some(PERMANENT),
            Self::Oversize => Some(OVERSIZE),
            _ => None,
        }
    }
}
