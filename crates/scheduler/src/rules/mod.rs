//! The rules, as functions of the state. From the bottom, where no module imports one of a later line:
//!
//! - `listing`, `eligible`, `accuse`, `slow`, `shun`: which workers have room, and which of them an action avoids
//! - `rest`, `spending`, `saving`, `phase`, `standing`, `topology`, `quarantine`: changes of one thing
//! - `outage`, `damping`, `unfit`: what slows workers down, and takes them out
//! - `assign`, `solo`, `hedge`, `place`, `submit`: where an action goes
//! - `busy`, `annul`, `skill`, `dispatch`: what moves several of them
//! - `health`, `verdict`, `quorum`, `settle`: what follows from success and failure
//! - `judge`, `resolve`: the two halves of the end of an attempt
//! - `restore`: what a run that is resumed begins with
//!
//! What has to happen above a rule is queued: see [`FollowUp`](crate::state::FollowUp).

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
pub(crate) mod rest;
pub(crate) mod restore;
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
