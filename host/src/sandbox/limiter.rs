//! Memory: what one instance may hold, and what it counts toward.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use super::engine::{CORE_INSTANCES_PER_COMPONENT, MEMORIES_PER_COMPONENT, TABLES_PER_COMPONENT};
use crate::limits::Budget;

/// What one table element costs.
const TABLE_ELEMENT: u64 = size_of::<usize>() as u64;

/// Counts the bytes of all memories and tables of one instance, because a limit on each of them alone would be none.
///
/// A growth beyond the limit fails as the guest's language expects (`memory.grow` says -1), so a guest may cope. If it
/// does not and traps, the trap was about memory.
pub(super) struct Limiter {
    limit: u64,
    held: u64,
    peak: u64,
    refused: Option<u64>,
    /// Whether a growth was asked for since the last time this was asked.
    has_grown: bool,
    budget: Arc<Budget>,
}

impl Limiter {
    pub(super) fn new(limit: u64, budget: Arc<Budget>) -> Self {
        Self {
            limit,
            held: 0,
            peak: 0,
            refused: None,
            has_grown: false,
            budget,
        }
    }

    /// What the host keeps count of.
    pub(super) fn budget(&self) -> Arc<Budget> {
        self.budget.clone()
    }

    pub(super) fn peak(&self) -> u64 {
        self.peak
    }

    /// How much was wanted when a growth was refused, since the last time this was asked.
    pub(super) fn take_refused(&mut self) -> Option<u64> {
        self.refused.take()
    }

    /// Whether a growth was asked for since the last time this was asked, granted or not.
    pub(super) fn take_grown(&mut self) -> bool {
        std::mem::take(&mut self.has_grown)
    }

    fn grow(&mut self, current: u64, desired: u64) -> bool {
        let more = desired.saturating_sub(current);
        let wanted = self.held.saturating_add(more);
        if wanted > self.limit {
            self.refused = Some(wanted);
            return false;
        }
        self.held = wanted;
        self.peak = self.peak.max(wanted);
        self.budget.charge(more);
        true
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.budget.release(self.held);
    }
}

impl ResourceLimiter for Limiter {
    // As the pool has them, for where there is no pool.
    fn instances(&self) -> usize {
        CORE_INSTANCES_PER_COMPONENT as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_PER_COMPONENT as usize
    }

    fn tables(&self) -> usize {
        TABLES_PER_COMPONENT as usize
    }

    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.has_grown = true;
        // What the memory's own type forbids fails anyway and must not be counted.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow(current as u64, desired as u64))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.has_grown = true;
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow(current as u64 * TABLE_ELEMENT, desired as u64 * TABLE_ELEMENT))
    }
}
