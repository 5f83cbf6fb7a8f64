//! Things kept side by side in memory, found by their place.

use std::marker::PhantomData;

/// The place of one thing in a [`Slab`]. A type for each sort of thing, so that they cannot be mixed up.
pub(crate) trait Slot: Copy {
    /// The place of this index.
    fn at(index: u32) -> Self;
    /// The index of this place.
    fn index(self) -> u32;
}

/// A list whose gaps are filled again. At an empty place there is nothing.
#[derive(Debug)]
pub(crate) struct Slab<S, T> {
    entries: Vec<Option<T>>,
    gaps: Vec<u32>,
    place: PhantomData<S>,
}

impl<S, T> Default for Slab<S, T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            gaps: Vec::new(),
            place: PhantomData,
        }
    }
}

impl<S: Slot, T> Slab<S, T> {
    /// Keeps a thing. Its place. The place that became free last is used first, while it is still in the cache.
    pub(crate) fn insert(&mut self, thing: T) -> S {
        if let Some(index) = self.gaps.pop()
            && let Some(entry) = self.entries.get_mut(index as usize)
        {
            *entry = Some(thing);
            return S::at(index);
        }
        // 4 billion things at once do not fit into memory, so the index cannot run over.
        let index = self.entries.len() as u32;
        self.entries.push(Some(thing));
        S::at(index)
    }

    pub(crate) fn get(&self, slot: S) -> Option<&T> {
        self.entries.get(slot.index() as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: S) -> Option<&mut T> {
        self.entries.get_mut(slot.index() as usize)?.as_mut()
    }

    pub(crate) fn remove(&mut self, slot: S) -> Option<T> {
        let thing = self.entries.get_mut(slot.index() as usize)?.take()?;
        self.gaps.push(slot.index());
        Some(thing)
    }

    /// How many things are kept.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.gaps.len()
    }

    /// All things in the order of their places, with these.
    #[cfg(test)]
    pub(crate) fn places(&self) -> impl Iterator<Item = (S, &T)> {
        let places = (0..).map(S::at).zip(&self.entries);
        places.filter_map(|(place, entry)| Some((place, entry.as_ref()?)))
    }

    /// All things in the order of their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().flatten()
    }
}
