//! Units that were answered and still count, and until when.

use std::collections::VecDeque;

use crate::moment::Moment;

/// Units that stop counting together, and how many were ever entered up to these.
#[derive(Debug)]
struct Entry {
    until: Moment,
    through: u64,
}

/// A queue of entries, soonest first, each with the running total: how many count at any moment is one search.
///
/// Units whose time is up at about the same moment share an entry, which ends a little late and never early. So there
/// are never more than some thousand entries, whatever the limit is.
#[derive(Debug)]
pub(super) struct Ledger {
    entries: VecDeque<Entry>,
    /// An entry's moment is a multiple of this, in microseconds.
    grain: u64,
    /// Units ever entered.
    total: u64,
    /// Those of them that were swept.
    swept: u64,
}

impl Ledger {
    /// `grain`: by how many microseconds an entry may be late.
    pub(super) fn new(grain: u64) -> Self {
        Self {
            entries: VecDeque::new(),
            grain: grain.max(1),
            total: 0,
            swept: 0,
        }
    }

    /// Units that count until then, or a little longer. Moments are entered in rising order.
    pub(super) fn enter(&mut self, until: Moment, units: u64) {
        if units == 0 {
            return;
        }
        self.total += units;
        let late = until.as_micros().checked_next_multiple_of(self.grain);
        let until = Moment::from_micros(late.unwrap_or(u64::MAX));
        match self.entries.back_mut() {
            Some(last) if last.until >= until => last.through = self.total,
            _ => self.entries.push_back(Entry {
                until,
                through: self.total,
            }),
        }
    }

    /// Units that count for longer than until `moment`.
    pub(super) fn beyond(&self, moment: Moment) -> u64 {
        // What there nearly always is to say, without a search.
        if self.entries.front().is_none_or(|first| first.until > moment) {
            return self.total - self.swept;
        }
        let over = self.entries.partition_point(|entry| entry.until <= moment);
        let through = over.checked_sub(1).and_then(|last| self.entries.get(last));
        self.total - through.map_or(self.swept, |entry| entry.through)
    }

    /// Forgets the units that count no longer than until `moment`.
    pub(super) fn sweep(&mut self, moment: Moment) {
        while let Some(first) = self.entries.front()
            && first.until <= moment
        {
            self.swept = first.through;
            self.entries.pop_front();
        }
    }

    /// From when on no more than `units` of them count, if none are added.
    pub(super) fn falls_to(&self, units: u64) -> Moment {
        let gone = self.total.saturating_sub(units);
        if gone <= self.swept {
            return Moment::START;
        }
        let first = self.entries.partition_point(|entry| entry.through < gone);
        self.entries.get(first).map_or(Moment::START, |entry| entry.until)
    }

    /// When how many stop counting, soonest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Moment, u64)> {
        self.entries.iter().scan(self.swept, |before, entry| {
            let units = entry.through - *before;
            *before = entry.through;
            Some((entry.until, units))
        })
    }

    /// How much memory it needs, in entries.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}
