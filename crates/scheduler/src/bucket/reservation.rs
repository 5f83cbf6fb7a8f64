//! Units that are reserved in blocks before they are spent, so that a run that is resumed knows how many may have been.

use std::time::Duration;

use super::checkpoint::{BucketCheckpoint, BucketHistory, ReportedState};
use crate::{moment::Moment, quota::Quota};

/// A block is the limit divided by this, rounded down, and at least one unit: after a crash, at most so many units are spent in vain.
/// Arbitrary: between one and two percent.
const BLOCKS: u32 = 64;

/// What is spent of a quota with a shorter memory is not recorded: a run that is resumed takes all of it for spent. Arbitrary: as long
/// as a start may take.
const SHORT: Duration = Duration::from_secs(1);

/// What is to be recorded of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Units that are reserved, and can be spent once this is recorded. Zero: it records only the rest.
    pub units: u64,
    /// Units whose attempts have ended since the block before.
    pub answered: u64,
    /// What the service has reported; what is left is without all units that are reserved.
    pub reported: ReportedState,
    /// Nothing is spent until then.
    pub closed_until: Moment,
}

/// What is reserved and recorded of a bucket.
#[derive(Debug)]
pub struct Reservation {
    block: u64,
    /// Units, ever.
    reserved: u64,
    /// How many of them had been answered when the last block was recorded.
    answered: u64,
    /// What was known then.
    news: u64,
    /// Units of before the run was resumed that count as answered since, which is not recorded yet.
    resumed: u64,
}

impl Reservation {
    /// None: nothing of a bucket with this quota needs to be recorded. `unanswered`: units of before the run was resumed, which it
    /// takes for answered now.
    pub fn of(quota: Quota, unanswered: u64) -> Option<Self> {
        (quota.memory() > SHORT).then(|| Self {
            block: u64::from((quota.most() / BLOCKS).max(1)),
            reserved: 0,
            answered: 0,
            news: 0,
            resumed: unanswered,
        })
    }

    /// What is to be recorded now, if anything is. If units are reserved, nothing that was spent since the last block may leave before
    /// that.
    pub fn follow(&mut self, bucket: &BucketCheckpoint) -> Option<Block> {
        let missing = bucket.used.saturating_sub(self.reserved);
        if missing == 0 && bucket.news == self.news && self.resumed == 0 {
            return None;
        }
        let units = if missing == 0 { 0 } else { missing.max(self.block) };
        self.reserved += units;
        let answered = bucket.answered.saturating_sub(self.answered);
        self.answered += answered;
        self.news = bucket.news;
        Some(Block {
            units,
            answered: answered + std::mem::take(&mut self.resumed),
            reported: bucket.reported.less(self.reserved.saturating_sub(bucket.used)),
            closed_until: bucket.closed_until,
        })
    }
}

impl BucketHistory {
    /// That of a bucket of which nothing was recorded, because its memory is short.
    pub fn spent(quota: Quota) -> Self {
        Self {
            unanswered: u64::from(quota.most()),
            ..Self::default()
        }
    }

    /// Adds a block, which was recorded at that time or a little later; after those before it.
    pub fn add(&mut self, at: Moment, block: &Block) {
        let answered = block.answered.min(self.unanswered);
        if answered > 0 {
            self.answered.push((at, answered));
        }
        self.unanswered = (self.unanswered - answered).saturating_add(block.units);
        self.reported = block.reported;
        self.closed_until = block.closed_until;
    }
}
