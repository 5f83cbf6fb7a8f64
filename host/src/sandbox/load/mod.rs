//! Loading: from the bytes of a file to a component that is checked, compiled, linked and can be started.

pub(super) mod cache;
pub(super) mod child;
pub(super) mod compile;
pub(super) mod component;
pub(super) mod inspection;
pub(super) mod link;
