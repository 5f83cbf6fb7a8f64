//! The counters of a run that are neither of a worker nor of a pool.

use std::sync::Arc;

use disperse_scheduler::{Class, HedgeView, KindId, Outcome, Reason};

use disperse_protocol::inbox::{FailureClass, KindSummary, Used};

/// All counters of a run.
#[derive(Default)]
pub(super) struct Tally {
    kinds: Vec<KindSummary>,
    retries: u64,
    unroutable: u64,
}

impl Tally {
    pub(super) fn add_kind(&mut self, name: Arc<str>) {
        self.kinds.push(KindSummary {
            kind: name.to_string(),
            ..KindSummary::default()
        });
    }

    pub(super) fn kind_name(&self, kind: KindId) -> Arc<str> {
        self.kinds
            .get(kind.0 as usize)
            .map_or_else(|| "?".into(), |kind| kind.kind.as_str().into())
    }

    pub(super) fn asked(&mut self, kind: KindId) {
        if let Some(kind) = self.kinds.get_mut(kind.0 as usize) {
            kind.asked += 1;
        }
    }

    pub(super) fn kind_attempt(&mut self, kind: KindId, class: Class, used: &Used) {
        let Some(kind) = self.kinds.get_mut(kind.0 as usize) else {
            return;
        };
        kind.attempts += 1;
        kind.failed += u64::from(FailureClass::is_failure(class));
        kind.fuel += used.fuel;
        kind.busy += used.wall;
    }

    pub(super) fn settled(&mut self, kind: KindId, outcome: Outcome) {
        self.unroutable += u64::from(outcome == Outcome::Failed(Reason::Unroutable));
        let Some(kind) = self.kinds.get_mut(kind.0 as usize) else {
            return;
        };
        match outcome {
            Outcome::Done { .. } => kind.done += 1,
            Outcome::Failed(_) => kind.refused += 1,
        }
    }

    pub(super) fn retried(&mut self) {
        self.retries += 1;
    }

    /// How many times an action was or will be tried again after a failure.
    pub(super) fn retries(&self) -> u64 {
        self.retries
    }

    /// Actions that no worker could do, because none serves their kind or none of those is left.
    pub(super) fn unroutable(&self) -> u64 {
        self.unroutable
    }

    /// What became of each kind; `hedges`: of its second attempts.
    pub(super) fn kinds(&self, hedges: impl Fn(KindId) -> HedgeView) -> Vec<KindSummary> {
        let kinds = (0..).map(KindId).zip(&self.kinds);
        let asked = kinds.filter(|(_, kind)| kind.asked > 0);
        let summary = |(id, kind): (KindId, &KindSummary)| {
            let HedgeView { made, won, .. } = hedges(id);
            KindSummary {
                hedges: made,
                hedges_won: won,
                ..kind.clone()
            }
        };
        asked.map(summary).collect()
    }
}
