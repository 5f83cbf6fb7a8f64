//! The quotas of services.

use std::time::Duration;

use crate::settings::{QuotaTable, WindowTable};
use disperse_protocol::units::Time;

/// A quota that a service allows one worker, or one account. Once it is spent, actions wait until some is left again,
/// at no cost.
///
/// ```
/// use std::time::Duration;
///
/// use disperse::Quota;
///
/// let hourly = Quota::window(5000, Duration::from_secs(3600)).cost("search", 5);
/// let at_once = Quota::concurrent(4);
/// ```
#[derive(Clone, Debug)]
pub struct Quota(QuotaTable);

impl Quota {
    /// A sliding window: at most `units`, from 1, in any period of length `per`. Without [`Quota::fixed`] it is
    /// counted as the strictest service would: a unit is free again one window after the answer of its attempt.
    pub fn window(units: u32, per: Duration) -> Self {
        Self(QuotaTable {
            limit: Some(units),
            per: Some(Time::from(per)),
            ..QuotaTable::default()
        })
    }

    /// A steady rate: `units`, from 1, in each period of length `per`, and at most `burst` at once after a pause.
    pub fn rate(units: u32, per: Duration, burst: u32) -> Self {
        let mut quota = Self::window(units, per);
        quota.0.burst = Some(burst);
        quota
    }

    /// At most this many attempts at once, from 1.
    pub fn concurrent(attempts: u32) -> Self {
        Self(QuotaTable {
            concurrent: Some(attempts),
            ..QuotaTable::default()
        })
    }

    /// Marks a [window](Quota::window) that the service starts at times of its own. Its end is known once a worker
    /// reports it; see [`Attempt::report_quota`](crate::Attempt::report_quota).
    #[must_use]
    pub fn fixed(mut self) -> Self {
        self.0.window = Some(WindowTable::Fixed);
        self
    }

    /// The name by which workers report its units. Default: none, which suffices for the only quota that is not
    /// [concurrent](Quota::concurrent).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.0.name = name.into();
        self
    }

    /// The units that an action of this kind costs, from 1; may be called again. Default 1.
    #[must_use]
    pub fn cost(mut self, kind: impl Into<String>, units: u32) -> Self {
        self.0.costs.insert(kind.into(), units);
        self
    }

    pub(super) fn table(&self) -> QuotaTable {
        self.0.clone()
    }
}
