//! What became of actions of a kind that rested between their attempts.

use crate::ids::ActionId;

/// From how many of them in a row that failed for good a rest is taken to be in vain. Arbitrary: if it helped one in
/// ten, so many would fail in a row one time in thirty.
const IN_VAIN: u32 = 32;

/// The fates of actions that rested in full.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fates {
    /// How many have failed for good since the last that had a result.
    failed: u32,
    /// While rests are in vain: the one action that rests in full all the same, to see whether they still are.
    sample: Option<ActionId>,
}

impl Fates {
    /// Whether this action is to rest in full: rests help, as far as is known, or it is to show whether they do.
    pub(crate) fn calls_for_rest(&mut self, action: ActionId) -> bool {
        self.failed < IN_VAIN || *self.sample.get_or_insert(action) == action
    }

    /// An action is settled. `worked`: whether it had a result; none if that says nothing, or it did not rest in full.
    pub(crate) fn note(&mut self, action: ActionId, worked: Option<bool>) {
        self.sample.take_if(|sample| *sample == action);
        match worked {
            Some(true) => self.failed = 0,
            Some(false) => self.failed = self.failed.saturating_add(1),
            None => {}
        }
    }
}
