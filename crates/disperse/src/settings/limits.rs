//! The limits of guests, as far as they are set.

use std::num::NonZeroU32;

use disperse_protocol::{
    limits::{HEADERS_MAX, Limits},
    units::{Fuel, Size, Time},
};

/// Limits of one attempt and, except for the time, of planner and tasks. A missing value leaves the limit as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitSettings {
    pub fuel: Option<Fuel>,
    pub memory: Option<Size>,
    pub timeout: Option<Time>,
    pub result_size: Option<Size>,
    pub handles: Option<NonZeroU32>,
    pub actions_in_flight: Option<NonZeroU32>,
    pub random_size: Option<Size>,
    pub header_size: Option<Size>,
    pub log_rate: Option<Size>,
    pub log_size: Option<Size>,
}

/// The largest value of `result-size`: a guest has an address space of 4 GiB, and holds a payload or result twice.
const RESULT_MAX: u64 = 2 << 30;

/// An invalid limit.
#[derive(Debug, thiserror::Error)]
pub enum WrongLimit {
    #[error("`{0}` is 0, and a guest needs some; leave it out for the default")]
    Zero(&'static str),
    #[error("`{name}` is {is}, and the maximum is {most}")]
    TooMuch { name: &'static str, is: Size, most: Size },
}

impl LimitSettings {
    /// Checks the ranges of the limits.
    ///
    /// # Errors
    /// A limit is zero that must not be, or is above its maximum.
    pub fn check(&self) -> Result<(), WrongLimit> {
        let zeros = [
            ("fuel", self.fuel.is_some_and(|fuel| fuel.0 == 0)),
            ("memory", self.memory.is_some_and(|size| size.0 == 0)),
            ("timeout", self.timeout.is_some_and(|time| time.duration().is_zero())),
        ];
        if let Some((name, _)) = zeros.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(WrongLimit::Zero(name));
        }
        match self.result_size {
            Some(is) if is.0 > RESULT_MAX => Err(WrongLimit::TooMuch {
                name: "result-size",
                is,
                most: Size(RESULT_MAX),
            }),
            _ => Ok(()),
        }
    }

    /// `base`, overridden by the values that are given here.
    pub fn over(&self, base: Limits) -> Limits {
        Limits {
            fuel: self.fuel.map_or(base.fuel, |fuel| fuel.0),
            memory: self.memory.map_or(base.memory, |size| size.0),
            timeout: self.timeout.map_or(base.timeout, Time::duration),
            result: self.result_size.map_or(base.result, |size| size.0),
            handles: self.handles.unwrap_or(base.handles),
            in_flight: self.actions_in_flight.unwrap_or(base.in_flight),
            random: self.random_size.map_or(base.random, |size| size.0),
            headers: self.header_size.map_or(base.headers, |size| size.0.min(HEADERS_MAX)),
            log_rate: self.log_rate.map_or(base.log_rate, |size| size.0),
            log_size: self.log_size.map_or(base.log_size, |size| size.0),
        }
    }
}
