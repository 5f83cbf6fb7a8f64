//! Requests for many actions at once from `run`, in the blocking form.

use std::collections::VecDeque;

use crate::action::{Action, Options, Reason, Refusal, WitOutcome, settle};
use crate::bindings::imports::{host, types};
use crate::codec::{Decode, Encode};

/// Requests one action of this kind for each input, as many at once as may be in flight, and waits for all of them. The
/// outcomes are in the order of the inputs. Any number of inputs; without any it returns at once.
pub fn perform_all<O: Decode>(kind: &str, inputs: impl IntoIterator<Item = impl Encode>) -> Vec<Result<O, Refusal>> {
    perform_each(inputs.into_iter().map(|input| Action::new(kind, input)))
}

/// As [`perform_all`], for actions of several kinds and with options.
pub fn perform_each<O: Decode>(actions: impl IntoIterator<Item = Action<impl Encode>>) -> Vec<Result<O, Refusal>> {
    let mut asked = Vec::new();
    let mut kinds = Vec::new();
    for action in actions {
        kinds.push(action.into_wit().map(|(action, options)| {
            let kind = action.kind.clone();
            asked.push((action, options));
            kind
        }));
    }
    let mut answers = ask(asked).into_iter();
    let mut answer = || answers.next().unwrap_or_else(|| Err(no_answer()));
    kinds.into_iter().map(|kind| settle(&kind?, answer())).collect()
}
/// The most that one call passes to the host, in bytes of payload: the host copies no more than 16 MiB for one call.
const CALL_BYTES_MAX: usize = 4 << 20;

/// How many actions are open at once where each has a handle of its own: as many as may be in flight. An instance may
/// have 4,096 handles.
pub(crate) const OPEN_MAX: usize = 1024;

/// Returns the outcomes of these, in their order: by one call of the host if they fit, which is cheapest.
fn ask(asked: Vec<(types::Action, Options)>) -> Vec<WitOutcome> {
    let Some(options) = asked.first().map(|(_, options)| *options) else {
        return Vec::new();
    };
    let alike = asked.iter().all(|(_, other)| *other == options);
    let bytes: usize = asked
        .iter()
        .map(|(action, _)| action.kind.len() + action.payload.len())
        .sum();
    if !alike || bytes > CALL_BYTES_MAX {
        return ask_one_by_one(asked);
    }
    let actions: Vec<_> = asked.into_iter().map(|(action, _)| action).collect();
    if options.is_default() {
        host::perform_all(&actions)
    } else {
        host::perform_all_with(&actions, options.to_wit())
    }
}

fn ask_one_by_one(asked: Vec<(types::Action, Options)>) -> Vec<WitOutcome> {
    let mut open = VecDeque::new();
    let mut outcomes = Vec::with_capacity(asked.len());
    for (action, options) in asked {
        if open.len() == OPEN_MAX {
            outcomes.extend(open.pop_front().map(|oldest: host::Pending| oldest.take()));
        }
        open.push_back(host::submit_with(&action, options.to_wit()));
    }
    outcomes.extend(open.iter().map(host::Pending::take));
    outcomes
}

/// The outcome if the host violates the contract.
fn no_answer() -> types::Refusal {
    types::Refusal {
        reason: Reason::Cancelled,
        message: "the host gave no answer".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn inputs_that_cannot_be_encoded_fail_without_a_request() {
        let bad = BTreeMap::from([((1, 2), 3)]);
        assert!(perform_all::<u32>("k", [&bad]).remove(0).is_err());
        assert!(perform_all::<u32>("k", [0; 0]).is_empty());
    }
}
