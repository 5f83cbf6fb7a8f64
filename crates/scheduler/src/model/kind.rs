//! A kind of action, and what was learned of it.

use crate::{
    ids::{KindId, Rx, Wx},
    mean::Mean,
    model::{failure_rate::FailureRate, fates::Fates, latency::Latency},
};

/// One sort of action.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) id: KindId,
    pub(crate) rx: Rx,
    pub(crate) failure_rate: FailureRate,
    pub(crate) fates: Fates,
    pub(crate) latency: Latency,
    /// Workers that are given nothing of it: rising, each once.
    pub(crate) barred: Vec<Wx>,
    /// What its attempts take that have a result.
    pub(crate) took: Mean,
    /// How many times in a row a worker that was busy with it was busy with other work as well.
    pub(crate) refuted: u32,
}
