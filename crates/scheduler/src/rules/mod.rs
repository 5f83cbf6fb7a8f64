//! The rules, as functions of the state.
//!
//! A rule calls only rules of modules below its own; see `state::FollowUp` for what has to happen above.

pub(crate) mod accuse;
pub(crate) mod annul;
pub(crate) mod assign;
pub(crate) mod busy;
pub(crate) mod damping;
pub(crate) mod dispatch;
pub(crate) mod eligible;
pub(crate) mod health;
pub(crate) mod hedge;
pub(crate) mod judge;
pub(crate) mod listing;
pub(crate) mod outage;
pub(crate) mod phase;
pub(crate) mod place;
pub(crate) mod quarantine;
pub(crate) mod quorum;
pub(crate) mod resolve;
pub(crate) mod saving;
pub(crate) mod settle;
pub(crate) mod shun;
pub(crate) mod skill;
pub(crate) mod slow;
pub(crate) mod solo;
pub(crate) mod spending;
pub(crate) mod standing;
pub(crate) mod submit;
pub(crate) mod topology;
pub(crate) mod unfit;
pub(crate) mod verdict;
