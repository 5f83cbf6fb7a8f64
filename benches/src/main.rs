//! The benchmark of Disperse: `cargo run --profile ci --bin disperse-bench`.
//!
//! Absolute times on shared machines mean little, so each row is measured beside its bound, in the same run, and
//! compared by ratio. The layers: raw wasmtime (a hand-written loop over the same component, [`raw`]), the host as a
//! user runs it ([`host`]), and an alternative ([`peers`]).
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its results"
)]

mod host;
mod machine;
mod peers;
mod raw;
mod rows;
mod table;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Parser;

use self::{rows::Setting, table::Table};

/// Measures disperse-host against its bounds.
#[derive(Debug, Parser)]
#[command(name = "disperse-bench")]
struct Options {
    /// A tenth of the work in fewer rounds: shows that everything runs, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Only rows whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The file that the figures are written to
    #[arg(long, value_name = "FILE", default_value = "target/bench.json")]
    json: PathBuf,
    /// A checkout of disperse.js to compare with
    #[arg(long, value_name = "FOLDER")]
    disperse_js: Option<PathBuf>,
    /// End with exit code 1 if a row is worse than its target by more than this factor
    #[arg(long, value_name = "FACTOR")]
    gate: Option<f64>,
}

fn main() -> ExitCode {
    match bench(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn bench(options: &Options) -> Result<ExitCode> {
    let host = host::Host::build()?;
    let setting = Setting {
        quick: options.quick,
        only: options.only.clone(),
        disperse_js: options.disperse_js.clone(),
    };
    let mut table = Table::new();
    rows::measure(&host, &setting, &mut table)?;
    if let Some(folder) = options.json.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let json = serde_json::json!({
        "machine": machine::describe(),
        "quick": options.quick,
        "seed": rows::SEED,
        "rows": table.rows(),
    });
    std::fs::write(&options.json, format!("{json:#}\n"))
        .with_context(|| format!("cannot write `{}`", options.json.display()))?;
    println!("\n{}\nwritten to {}", machine::describe(), options.json.display());
    let beyond: Vec<&str> = options.gate.map(|factor| table.beyond(factor)).unwrap_or_default();
    if beyond.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("worse than allowed: {}", beyond.join(", "));
    Ok(ExitCode::FAILURE)
}
