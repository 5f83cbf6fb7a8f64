//! What the rules know of actions, workers, pools, kinds and quotas: data with its own methods.
//!
//! Nothing here knows the whole state.

pub(crate) mod accusation;
pub(crate) mod action;
pub(crate) mod busy;
pub(crate) mod concurrency;
pub(crate) mod failure_log;
pub(crate) mod failure_rate;
pub(crate) mod fates;
pub(crate) mod health;
pub(crate) mod kind;
pub(crate) mod latency;
pub(crate) mod order;
pub(crate) mod outage;
pub(crate) mod pool;
pub(crate) mod queue;
pub(crate) mod quota_state;
pub(crate) mod retry;
pub(crate) mod skill;
pub(crate) mod unfit_reports;
pub(crate) mod votes;
pub(crate) mod worker;
pub(crate) mod worker_health;
