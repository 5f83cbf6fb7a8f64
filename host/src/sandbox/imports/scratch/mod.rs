//! A program's scratch folder: `/tmp` of one attempt.
//!
//! It is kept in the host's memory, where all that it may hold is reserved for the attempt, so that its bounds are exact, nothing of it reaches a disk, and nothing is
//! left of it when the attempt is over or the host is killed. Files begin in it with the host's clock, or with that of an
//! untrusted worker, which stands still: then all that is seen of it is the same everywhere.
//!
//! Symbolic links are not supported. Nothing is renamed or linked from it to a folder that is granted, or back: there is no file
//! that they could have in common.

mod content;
mod file;
mod names;
mod streams;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use self::{
    file::{SCRATCH_FOLDER, Scratch, ScratchFile, ScratchList},
    tree::FileClock,
};
