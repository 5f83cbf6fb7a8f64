//! A program's scratch folder: `/tmp` of one attempt.
//!
//! It lies in the host's memory, and its largest size is reserved for the attempt. So its limit is exact, nothing
//! reaches a disk, and nothing is left when the attempt is over or the host is killed. Files get their times from the
//! host's clock. For an untrusted worker that clock is stopped, so that the program sees the same folder on every
//! machine.
//!
//! Symbolic links are not supported. Files cannot be renamed or linked between it and a granted folder.

mod content;
mod file;
mod names;
mod streams;
#[cfg(test)]
mod tests;
mod tree;

pub use self::file::SCRATCH_FOLDER;
pub(crate) use self::{
    file::{Scratch, ScratchFile, ScratchList},
    tree::FileClock,
};
