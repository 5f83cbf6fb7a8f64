//! `explain`, `readmit`, `workers` and `drain`.

mod convert;
mod model;
mod query;
mod sentences;
mod text;

pub(crate) use self::{
    model::schema,
    query::{explain, query_run},
};
