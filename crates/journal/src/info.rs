//! The description of a run: what it is, how it is resumed, and how it ended.

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::{codec::Checksum, error::Fault};

/// The description of a run, stored as JSON. Unknown fields are ignored and new ones have defaults, so that it can grow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunInfo {
    /// The run's name, as in `20261124-162024-kqztb`.
    pub id: String,
    /// The version of the program that began the run.
    pub version: String,
    pub created_unix_ms: u64,
    pub seed: u64,
    /// When the run's time was 0.
    pub began_unix_ms: u64,
    /// The path of the operation, as it is shown.
    pub operation: String,
    /// SHA-256 of the operation's component, in hexadecimal. Empty: it has none.
    #[serde(default)]
    pub operation_sha256: String,
    #[serde(default)]
    pub arguments: Vec<String>,
    /// How to resume the run: JSON, which only the host reads.
    #[serde(default)]
    pub command: serde_json::Value,
    pub status: Status,
    /// Why it stopped or failed, for people.
    #[serde(default)]
    pub reason: Option<String>,
    /// None: it has not ended, or was killed.
    #[serde(default)]
    pub ended_unix_ms: Option<u64>,
}

/// The number of the table in checksums.
const TABLE: u8 = 1;

impl RunInfo {
    /// Stores it in place of the one before.
    pub(crate) fn store(&self, connection: &Connection) -> Result<(), Fault> {
        let text = serde_json::to_string(self).map_err(|error| Fault::Damaged(error.to_string()))?;
        let crc = Checksum::of(TABLE).bytes(text.as_bytes()).finish();
        connection.execute(
            "INSERT OR REPLACE INTO description (only_row, info, crc) VALUES (1, ?, ?)",
            params![text, crc],
        )?;
        Ok(())
    }

    pub(crate) fn load(connection: &Connection) -> Result<Self, Fault> {
        let sql = "SELECT info, crc FROM description";
        let (text, crc): (String, u32) = connection.query_row(sql, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
        if Checksum::of(TABLE).bytes(text.as_bytes()).finish() != crc {
            return Err(Fault::Damaged("the description of the run".to_owned()));
        }
        serde_json::from_str(&text).map_err(|error| Fault::Damaged(format!("the description of the run: {error}")))
    }
}

/// How a run goes or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It goes on; or it was killed, if no process has the lock.
    Running,
    Finished,
    /// It was stopped before its end and can be resumed.
    Stopped,
    Failed,
}

/// A moment of the run's time and the wall clock at that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anchor {
    pub run_ms: u64,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}

impl Anchor {
    /// The run's time when the wall clock shows this: it goes on while the run is down, and a clock that was set back counts
    /// as one that stood still.
    pub fn run_ms_at(self, unix_ms: u64) -> u64 {
        self.run_ms.saturating_add(unix_ms.saturating_sub(self.unix_ms))
    }
}
