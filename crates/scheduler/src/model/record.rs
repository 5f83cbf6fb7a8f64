use crate::ids::{ActionId, Kx};
use crate::model::busy::BusyTrial;
use crate::model::outage::Spells;
use crate::moment::Moment;
use std::collections::VecDeque;
use std::time::Duration;

impl Record {
    /// Takes note of a failure of which nobody knows yet whose fault it was.
    pub(crate) fn failed(&mut self, action: ActionId, kx: Option<Kx>, at: Moment) {
        if self.past.len() >= PAST_MAX {
            self.past.pop_front();
        }
        self.past.push_back(Past {
            before: std::mem::take(&mut self.since),
            action,
            kx,
            at,
            guilt: 0.0,
        });
    }

    /// Whether this failure belongs to a spell in which the worker failed another action, and that counts already.
    pub(crate) fn is_told(&self, action: ActionId, spells: &Spells) -> bool {
        let mut all = self.past.iter().rev();
        let spell = all
            .find(|past| past.action == action)
            .and_then(|past| spells.at(past.at));
        spell.is_some_and(|spell| {
            let counts = |past: &Past| {
                past.action != action && past.guilt > 0.0 && (spell.since..=spell.until).contains(&past.at)
            };
            self.past.iter().any(counts)
        })
    }

    /// It was the worker's fault.
    pub(crate) fn convict(&mut self, action: ActionId, guilt: f64, relief: f64) {
        self.score = scored(&mut self.past, self.since, action, guilt, relief);
    }
}

/// The score by these failures, with so many successes after the last, when one of them is known to be the worker's fault. What
/// it did well before and after is weighed in its order, however late this is known: a hundred successes after a failure mean the
/// same whether they came before its verdict or behind it.
pub(crate) fn scored(past: &mut VecDeque<Past>, since: u32, action: ActionId, guilt: f64, relief: f64) -> f64 {
    if let Some(past) = past.iter_mut().rev().find(|past| past.action == action) {
        past.guilt = guilt;
    }
    let after = |score: f64, successes: u32| (score + f64::from(successes) * relief).max(0.0);
    let score = past
        .iter()
        .fold(0.0, |score, past| after(score, past.before) + past.guilt);
    after(score, since)
}

/// What a worker has shown so far. A readmission wipes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// The distinct actions of its failures since its last success of which nobody knows yet whose fault they were, at most as
    /// many as make it suspect.
    pub(crate) row: Vec<ActionId>,
    /// Its failures in a row, known or not.
    pub(crate) straight: u32,
    /// When the first of these was, or when the service was back for all if that is later.
    pub(crate) failing_since: Moment,
    /// How much likelier it is a bad one than one as flaky as everybody, as a logarithm.
    pub(crate) score: f64,
    /// Its last failures, the oldest first.
    pub(crate) past: VecDeque<Past>,
    /// Its successes since the last of them.
    pub(crate) since: u32,
    /// The round of its last quarantine, less what was forgiven.
    pub(crate) round: u32,
    /// Quarantines since it last passed a probation.
    pub(crate) unproved: u32,
    /// Successes since a quarantine was last forgiven.
    pub(crate) good: u32,
    /// Times in a row that it was busy without saying for how long.
    pub(crate) busy_row: u32,
    /// Times in a row that the host had not enough of something for it.
    pub(crate) starved: u32,
    /// Times in a row that it was busy though it had something to spend.
    pub(crate) busies: u32,
    /// When it was so, the last time.
    pub(crate) pressed: Option<Moment>,
    /// Results in a row that others have confirmed.
    pub(crate) valid: u32,
    /// Results in a row that others have contradicted.
    pub(crate) outvoted: u32,
    /// Successes since it was last given more or less at once.
    pub(crate) widened: u32,
    /// The distinct actions since its last success for which it reported that it is unfit and that have no verdict.
    pub(crate) unfit: Vec<ActionId>,
    /// How often it reported that since its last success, and when it last did.
    pub(crate) unfit_row: u32,
    pub(crate) unfit_at: Moment,
    /// It was the last usable one when it was quarantined for such reports, and has not succeeded since.
    pub(crate) unfit_last: bool,
    /// How many at once were too many, the last time that it was given less; 0: that is not known.
    pub(crate) failed_at: u32,
    /// How many times that was tried again in vain.
    pub(crate) width_tries: u32,
    /// The action that it rests for, if it is busy because of that one alone.
    pub(crate) busy_by: Option<ActionId>,
    /// It is tried with other work before its time is up.
    pub(crate) trial: Option<BusyTrial>,
    /// The first of its waits in a row without a hint.
    pub(crate) busy_first: Duration,
    /// It succeeded since it was last busy.
    pub(crate) worked: bool,
}

/// How many of a worker's last failures are weighed. Arbitrary: more than a bad worker needs to be found, and less than
/// two kilobytes.
pub(crate) const PAST_MAX: usize = 32;

/// A failure of a worker, and what came before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past {
    /// Successes since the failure before.
    pub(crate) before: u32,
    pub(crate) action: ActionId,
    /// The kind of that, if it is known.
    pub(crate) kx: Option<Kx>,
    /// When it failed.
    pub(crate) at: Moment,
    /// What it adds to the score. Zero while nobody knows whose fault it was, and if it was not the worker's.
    pub(crate) guilt: f64,
}
