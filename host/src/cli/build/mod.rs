//! Builds the components of a project before it is run.

mod files;
mod manifest;
mod run;
mod sources;

pub(crate) use self::{
    manifest::operation_build,
    run::{build, build_all},
};
