//! Settings as programs, flags and manifests give them: what is not set keeps its default.

mod health;
mod limits;
mod quota;

pub use self::{
    health::{ConfirmTable, Health},
    limits::{LimitSettings, WrongLimit},
    quota::{QuotaTable, Spender, WindowTable, check_quotas},
};
