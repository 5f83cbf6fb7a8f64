//! What the thread that writes is sent, and how patient it is.

use std::{sync::mpsc::Sender, time::Duration};

use disperse_engine::driver::{Record, TurnNumber};

use crate::{error::JournalError, info::Status};

/// What the thread is sent.
pub(crate) enum Message {
    Turn(Turn),
    /// So many bytes of the output are at their target when the run ends.
    Written(u64),
    End(End),
}

/// The records of a turn.
pub(crate) struct Turn {
    pub(crate) number: TurnNumber,
    pub(crate) records: Vec<Record>,
    /// When it was appended.
    pub(crate) unix_ms: u64,
    /// What it takes in memory, about.
    pub(crate) bytes: u64,
}

/// How the run ended, and where it goes whether that is stored.
pub(crate) struct End {
    pub(crate) status: Status,
    pub(crate) reason: Option<String>,
    pub(crate) done: Sender<Result<(), JournalError>>,
}

/// When a commit that failed is made again.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) again: Duration,
    /// After so long without success it is given up.
    pub(crate) give_up: Duration,
}

impl Pace {
    /// Often enough that space is noticed soon, and a minute for an operator to make some.
    pub(crate) const NORMAL: Self = Self {
        again: Duration::from_secs(1),
        give_up: Duration::from_mins(1),
    };
}
