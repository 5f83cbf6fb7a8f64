//! Things that are found by their id from outside and by their place inside.

use std::hash::Hash;

use crate::{
    ids::IdMap,
    slab::{Slab, Slot},
};

/// A [`Slab`], and the place of each of its things by id.
#[derive(Debug)]
pub(crate) struct Table<I, S, T> {
    slots: IdMap<I, S>,
    things: Slab<S, T>,
}

impl<I, S, T> Default for Table<I, S, T> {
    fn default() -> Self {
        Self {
            slots: IdMap::default(),
            things: Slab::default(),
        }
    }
}

impl<I: Copy + Eq + Hash, S: Slot, T> Table<I, S, T> {
    /// Adds a thing. Its id is not in the table yet.
    #[inline]
    pub(crate) fn insert(&mut self, id: I, thing: T) -> S {
        let slot = self.things.insert(thing);
        self.slots.insert(id, slot);
        slot
    }

    /// Removes the thing at this place; `id`: its id.
    #[inline]
    pub(crate) fn remove(&mut self, slot: S, id: impl FnOnce(&T) -> I) -> Option<T> {
        let thing = self.things.remove(slot)?;
        self.slots.remove(&id(&thing));
        Some(thing)
    }

    /// Whether there is a thing of this id.
    #[inline]
    pub(crate) fn contains(&self, id: I) -> bool {
        self.slots.contains_key(&id)
    }

    /// The place of this id.
    #[inline]
    pub(crate) fn slot(&self, id: I) -> Option<S> {
        self.slots.get(&id).copied()
    }

    /// The thing of this id.
    #[inline]
    pub(crate) fn find(&self, id: I) -> Option<&T> {
        self.get(self.slot(id)?)
    }

    #[inline]
    pub(crate) fn get(&self, slot: S) -> Option<&T> {
        self.things.get(slot)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: S) -> Option<&mut T> {
        self.things.get_mut(slot)
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.things.len()
    }

    /// All things in the order of their places.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.things.iter()
    }

    /// The things themselves, for what needs only their places.
    #[inline]
    pub(crate) fn slab(&self) -> &Slab<S, T> {
        &self.things
    }
}
