//! Builds the components of a project before it is run.

mod built;
mod files;
mod manifest;
mod run;
mod sources;

pub(crate) use self::{
    built::Built,
    manifest::operation_build,
    run::{build, build_all},
};
