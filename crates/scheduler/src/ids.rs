//! Names of things, as plain numbers.
//!
//! The caller gives all of them except the attempt number. None is ever used again within a run, so a stale message
//! can always be told from a fresh one.

use std::{
    fmt,
    hash::{BuildHasherDefault, Hasher},
};

use crate::slab::Slot;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id! {
    /// One action of a run. Rising in the order of asking.
    ActionId(u64), "a"
}
id! {
    /// One task of a run. Rising in the order in which tasks were handed out; older tasks go first.
    TaskId(u64), "t"
}
id! {
    /// One sort of action. The caller maps names to numbers; the scheduler knows which pools serve it.
    KindId(u32), "k"
}
id! {
    /// One pool of workers.
    PoolId(u32), "p"
}
id! {
    /// One bucket: a quota of one account.
    BucketId(u32), "b"
}
id! {
    /// One worker: an identity with a health, not an instance.
    WorkerId(u32), "w"
}

id! {
    /// One owner of untrusted workers.
    OwnerId(u32), "o"
}

/// One try of an action. `number` is 1 for the first and rises with every dispatch, also with those that cost nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AttemptId {
    /// The action that is tried.
    pub action: ActionId,
    /// Which dispatch of it this is, from 1.
    pub number: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.action, self.number)
    }
}

impl fmt::Debug for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! slot {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) struct $name(u32);

        impl Slot for $name {
            fn at(index: u32) -> Self {
                Self(index)
            }

            fn index(self) -> u32 {
                self.0
            }
        }
    };
}

// Inside, things are found by their place in a slab: half the size of an id, and no hashing on the hot path. A place is
// used again once its thing is gone, so it never leaves the crate.
slot! {
    /// Where an open action is kept.
    Ax
}
slot! {
    /// Where a worker is kept. Never used again.
    Wx
}
impl Wx {
    /// The place of the first worker.
    pub(crate) const FIRST: Self = Self(0);
}

slot! {
    /// Where a pool is kept. Never used again.
    Px
}
slot! {
    /// Where a route is kept: a set of pools that serve the same kinds. Never used again.
    Rx
}
slot! {
    /// Where a kind is kept. Never used again.
    Kx
}
slot! {
    /// Where a bucket is kept. Never used again.
    Bx
}
slot! {
    /// Where an owner's workers are kept. Never used again.
    Ox
}
slot! {
    /// Where a group of waiting actions is kept.
    Gx
}

/// From ids to places. Only ever asked by key: its order means nothing and is never seen.
#[expect(
    clippy::disallowed_types,
    reason = "hashed without a random seed, and never iterated"
)]
pub(crate) type IdMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The seven highest bits.
const TAG: u64 = 0xFE << 56;

/// Spreads plain numbers over the table. The caller gives the ids out itself, so they are not chosen to collide.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // Ids are given out one after the other and used about together. So numbers of the same 256 stay neighbours in
        // the table, which takes its bucket from the low bits: one of them brings the others into the cache. The blocks
        // themselves, and the tag that the table takes from the seven highest bits, are spread by a product with the
        // golden ratio (Fibonacci hashing; Knuth, volume 3, 6.4).
        let number = self.0 ^ number;
        let wide = u128::from(number >> 8) * u128::from(GOLDEN);
        let block = (wide >> 64) as u64 ^ wide as u64;
        self.0 = (block.wrapping_add(number & 0xFF) & !TAG) | (number.wrapping_mul(GOLDEN) & TAG);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
