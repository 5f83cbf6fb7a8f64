//! Projects: a manifest with its folder, and the user's trust in it.

mod source;
mod store;
pub(crate) mod trust;

pub(crate) use self::{
    source::{Project, Source, manifest_path, operation_alone, project, source},
    store::{Store, store_failure},
};
