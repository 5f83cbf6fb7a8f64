//! How a run was started.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::input;
use crate::cli::tools::shell_word;

/// How a run was started, as its journal has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Started {
    /// The working folder.
    pub(super) folder: PathBuf,
    /// The command line, without the program.
    pub(super) arguments: Vec<String>,
    pub(super) input: input::Recorded,
}

impl Started {
    /// The command line, as a shell takes it.
    pub(super) fn command_line(&self) -> String {
        let words = self.arguments.iter().map(|word| shell_word(word));
        let words: Vec<String> = words.collect();
        let folder = shell_word(&self.folder.display().to_string());
        format!("cd {folder} && disperse-host {}", words.join(" "))
    }
}
