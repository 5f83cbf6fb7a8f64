//! Text on the terminal: tables and colours.

mod columns;
mod paint;

pub(crate) use disperse_protocol::text::*;

pub(crate) use self::{
    columns::columns,
    paint::{Color, painted},
};
