//! A test that cannot fail proves nothing: each fault that is injected here has to be found.

use super::history::play;
use crate::state::Mutation;

/// How many histories a defect may survive.
const HISTORIES: u64 = 1000;

#[track_caller]
fn is_found(mutation: Mutation, told: &str) {
    let found = (0..HISTORIES).find_map(|seed| play(seed, Some(mutation)).err());
    let report = found.unwrap_or_else(|| panic!("no check noticed {mutation:?}"));
    let first = report.lines().next().unwrap_or_default();
    assert!(
        first.contains(told),
        "{mutation:?} was noticed by something else: {first}"
    );
}

#[test]
fn retry_on_the_worker_that_failed_is_detected() {
    is_found(Mutation::SameWorker, "free and untried");
}

#[test]
fn second_settlement_is_detected() {
    is_found(Mutation::SettleTwice, "settled twice");
}

#[test]
fn slot_that_is_not_freed_is_detected() {
    is_found(Mutation::KeepSlot, "is said to be");
}

#[test]
fn quarantine_of_the_last_worker_is_detected() {
    is_found(Mutation::QuarantineLast, "the last usable worker was taken out");
}

#[test]
fn free_worker_without_work_is_detected() {
    is_found(Mutation::ForgetWorker, "waits ");
}

#[test]
fn action_that_avoids_every_worker_is_detected() {
    is_found(Mutation::ForgetStuck, "avoids everybody");
}

#[test]
fn probation_with_two_actions_is_detected() {
    is_found(Mutation::FullProbation, "has 1 already");
}

#[test]
fn attempt_number_that_does_not_rise_is_detected() {
    is_found(Mutation::SameNumber, "the attempt before was number");
}

#[test]
fn quarantine_beyond_the_share_is_detected() {
    is_found(Mutation::IgnoreShare, "too much of the pool");
}

#[test]
fn endless_patience_is_detected() {
    is_found(Mutation::EndlessPatience, "has waited since");
}

#[test]
fn unconfirmed_result_of_untrusted_worker_is_detected() {
    is_found(Mutation::BelieveAll, "which is not enough");
}

#[test]
fn second_vote_of_an_owner_is_detected() {
    is_found(Mutation::SameOwner, "its owner has voted");
}

#[test]
fn hedge_of_non_idempotent_action_is_detected() {
    is_found(Mutation::HedgeAll, "may not have a second attempt");
}

#[test]
fn unneeded_attempt_that_is_not_stopped_is_detected() {
    is_found(Mutation::KeepSecond, "that was not stopped");
}
