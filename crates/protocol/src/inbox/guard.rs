//! What a message takes in the host until it is taken.

use tokio::sync::OwnedSemaphorePermit;

use crate::limits::Charge;

/// What a message takes in the host. Messages are plain data; their guards go beside them, and give back when they are dropped.
#[derive(Debug, Default)]
pub enum Guard {
    #[default]
    None,
    /// Memory.
    Charge(Charge),
    /// A part of something that is counted.
    Permit(#[allow(dead_code, reason = "held for what its drop does")] OwnedSemaphorePermit),
}

impl Guard {
    /// The charge, if it is one.
    pub fn charge(self) -> Option<Charge> {
        match self {
            Self::Charge(charge) => Some(charge),
            Self::None | Self::Permit(_) => None,
        }
    }
}
