//! What of a bucket has to survive a crash, so that a run that is resumed overruns no window either.
//!
//! When the process ended is unknown, and so is which of the attempts that it had reserved units for were still made. All of them
//! count as answered when the run is resumed, which is later.

use crate::moment::Moment;

/// What of a bucket has to survive a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketCheckpoint {
    /// Units spent, ever; those in flight are, those of attempts that were never sent are not.
    pub used: u64,
    /// Units among these whose attempts are over.
    pub answered: u64,
    /// What the service has reported, as far as it matters.
    pub reported: ReportedState,
    /// Nothing is spent until then, because the service told so; in the past if it may be.
    pub closed_until: Moment,
    /// How many times something became known that does not follow from what was spent here.
    pub news: u64,
}

/// What a service has reported of a quota, as far as it matters from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReportedState {
    /// Nothing.
    #[default]
    None,
    /// A window of a fixed quota.
    Window {
        /// Units that can be spent in it.
        left: u64,
        /// Not before then is it over.
        earliest: Moment,
        /// At the latest then it is over.
        latest: Moment,
        /// When it is over, as it was reported.
        resets: Moment,
    },
    /// No more than so many units, because others spend them too.
    Cap {
        /// Units.
        left: u64,
        /// Until then.
        until: Moment,
        /// The reset that was reported; [`Moment::NEVER`]: none was.
        resets: Moment,
    },
    /// Of a rate.
    Debt {
        /// When all that was spent is earned again.
        until: Moment,
    },
}

impl ReportedState {
    /// The same when so many more units may have been spent.
    pub fn less(self, units: u64) -> Self {
        match self {
            Self::Window {
                left,
                earliest,
                latest,
                resets,
            } => Self::Window {
                left: left.saturating_sub(units),
                earliest,
                latest,
                resets,
            },
            Self::Cap { left, until, resets } => Self::Cap {
                left: left.saturating_sub(units),
                until,
                resets,
            },
            Self::None | Self::Debt { .. } => self,
        }
    }
}

/// What became of a bucket before the run was resumed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketHistory {
    /// Units whose attempts were over by then, the earliest first.
    pub answered: Vec<(Moment, u64)>,
    /// Units that may have been spent, of attempts whose end is unknown.
    pub unanswered: u64,
    /// What the service had reported; what is left is without those that are unanswered.
    pub reported: ReportedState,
    /// Nothing is spent until then.
    pub closed_until: Moment,
}
