#![allow(dead_code)]
mod inbox;
mod limits;
mod logger;
mod sandbox;
pub mod units;
