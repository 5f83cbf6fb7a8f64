//! A test that cannot fail proves nothing: each fault that is injected here has to be found.

use super::history::play;
use crate::state::Mutation;

/// How many histories a defect may survive.
const HISTORIES: u64 = 1000;

#[track_caller]
fn is_found(mutation: Mutation, told: &str) {
    let found = (0..HISTORIES).find_map(|seed| play(seed, Some(mutation)).err());
    let report = found.unwrap_or_else(|| panic!("nobody noticed {mutation:?}"));
    let first = report.lines().next().unwrap_or_default();
    assert!(
        first.contains(told),
        "{mutation:?} was noticed by something else: {first}"
    );
}

#[test]
fn an_action_that_goes_back_to_where_it_failed_is_found() {
    is_found(Mutation::SameWorker, "free and untried");
}

#[test]
fn an_action_that_is_settled_twice_is_found() {
    is_found(Mutation::SettleTwice, "settled twice");
}

#[test]
fn a_slot_that_is_never_freed_is_found() {
    is_found(Mutation::KeepSlot, "is said to be");
}

#[test]
fn a_quarantine_of_the_last_worker_is_found() {
    is_found(Mutation::QuarantineLast, "the last usable worker was taken out");
}

#[test]
fn a_free_worker_that_is_forgotten_is_found() {
    is_found(Mutation::ForgetWorker, "waits ");
}

#[test]
fn an_action_that_avoids_everybody_is_found() {
    is_found(Mutation::ForgetStuck, "avoids everybody");
}

#[test]
fn a_probation_with_more_than_one_action_is_found() {
    is_found(Mutation::FullProbation, "has 1 already");
}

#[test]
fn an_attempt_number_that_does_not_rise_is_found() {
    is_found(Mutation::SameNumber, "the attempt before was number");
}

#[test]
fn a_quarantine_of_too_many_is_found() {
    is_found(Mutation::IgnoreShare, "too much of the pool");
}

#[test]
fn an_action_that_is_choosy_for_ever_is_found() {
    is_found(Mutation::EndlessPatience, "has waited since");
}

#[test]
fn a_stranger_that_is_simply_believed_is_found() {
    is_found(Mutation::BelieveAll, "which is not enough");
}

#[test]
fn an_owner_that_is_asked_twice_is_found() {
    is_found(Mutation::SameOwner, "its owner has voted");
}

#[test]
fn a_second_attempt_of_what_may_not_run_twice_is_found() {
    is_found(Mutation::HedgeAll, "may not have a second attempt");
}

#[test]
fn an_attempt_that_nobody_needs_and_nobody_stops_is_found() {
    is_found(Mutation::KeepSecond, "that was not stopped");
}
