//! `inspect`: what a component is.

use std::{fmt::Write as _, io::Write as _};

use super::{args::InspectArgs, error::Failure, exit, plan};
use crate::{
    digest::Digest,
    limits::{CompileLimits, Limits, STACK, default_host_memory},
    report::{Format, plain},
    sandbox::{Contract, Form},
    units::{Fuel, Size, Time},
};

/// Writes to stdout; a pipe that is closed is no error.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::machine("cannot write to stdout", &error))
        }
        _ => Ok(()),
    }
}

pub(super) fn inspect(args: &InspectArgs) -> Result<u8, Failure> {
    for path in plan::components(&args.path)? {
        let bytes = plan::read(&path)?;
        let contract = plan::contract(&path, &bytes)?;
        let digest = Digest::of(&bytes);
        let role = |form: Option<Form>| form.map(|form| if form == Form::Async { "async" } else { "blocking" });
        match args.format {
            Format::Json => {
                let imports: Vec<_> = contract
                    .imports
                    .iter()
                    .map(|import| serde_json::json!({ "name": import.name, "known": import.known }))
                    .collect();
                let line = serde_json::json!({
                    "type": "component",
                    "path": path.display().to_string(),
                    "sha256": digest.to_string(),
                    "bytes": bytes.len(),
                    "operation": role(contract.operation),
                    "worker": role(contract.worker),
                    "program": contract.program.is_some(),
                    "imports": imports,
                    "limits": limits().collect::<std::collections::BTreeMap<_, _>>(),
                    "grants": usable(&contract).map(|(flag, _)| flag).collect::<Vec<_>>(),
                    "exports": contract.exports,
                    "producers": contract.producers,
                });
                print(&format!("{line}\n"))?;
            }
            Format::Text => {
                let mut text = format!(
                    "{}\n  sha256   {digest}\n  size     {}\n",
                    path.display(),
                    Size(bytes.len() as u64)
                );
                let roles = [
                    ("operation", role(contract.operation)),
                    ("worker", role(contract.worker)),
                ];
                if contract.program.is_some() {
                    text.push_str("  role     worker: a program of WASI, run once for each action\n");
                } else {
                    for (name, form) in roles.into_iter().filter_map(|(name, form)| Some((name, form?))) {
                        let _ = writeln!(text, "  role     {name}, {form}");
                    }
                }
                if !contract.producers.is_empty() {
                    let _ = writeln!(text, "  made by  {}", plain(&contract.producers.join(", ")));
                }
                text.push_str("  exports\n");
                for (name, ty) in &contract.exports {
                    let _ = writeln!(text, "    {name}: {ty}");
                }
                text.push_str("  imports\n");
                for import in &contract.imports {
                    let note = if import.known {
                        ""
                    } else {
                        "  (not provided: traps when called)"
                    };
                    let _ = writeln!(text, "    {}{note}", import.name);
                }
                text.push_str("  limits   unless set otherwise\n");
                for (flag, what) in limits() {
                    let _ = writeln!(text, "    {flag:<19} {what}");
                }
                text.push_str("  grants   none unless given");
                let mut usable = usable(&contract).peekable();
                if usable.peek().is_some() {
                    text.push_str("; its imports could use");
                    for (flag, what) in usable {
                        let _ = write!(text, "\n    {flag}  {what}");
                    }
                }
                text.push('\n');
                print(&text)?;
            }
        }
    }
    Ok(exit::DONE)
}

/// The flags that set limits, and what holds without them.
fn limits() -> impl Iterator<Item = (&'static str, String)> {
    let (worker, planner, compile) = (Limits::WORKER, Limits::PLANNER, CompileLimits::default());
    [
        ("--fuel", Fuel(worker.fuel).to_string()),
        (
            "--memory",
            format!("{}, of a planner {}", Size(worker.memory), Size(planner.memory)),
        ),
        ("--timeout", Time::from(worker.timeout).to_string()),
        ("--result-size", Size(worker.result).to_string()),
        ("--stack", Size(STACK).to_string()),
        ("--handles", worker.handles.to_string()),
        ("--actions-in-flight", worker.in_flight.to_string()),
        ("--random-size", Size(worker.random).to_string()),
        ("--header-size", Size(worker.headers).to_string()),
        ("--log-rate", format!("{} a second", Size(worker.log_rate))),
        ("--log-size", format!("{} an attempt", Size(worker.log_size))),
        ("--compile-timeout", Time::from(compile.timeout).to_string()),
        ("--compile-memory", Size(compile.memory).to_string()),
        (
            "--host-memory",
            format!("{}, half of this machine's", Size(default_host_memory())),
        ),
    ]
    .into_iter()
}

/// The flags that open something behind what a worker imports. Importing is not using: some languages import all of WASI.
fn usable(contract: &Contract) -> impl Iterator<Item = (&'static str, &'static str)> {
    const GRANTS: [(&str, &str, &str); 6] = [
        ("wasi:filesystem/", "--dir", "folders"),
        ("wasi:cli/environment", "--env", "environment variables"),
        ("disperse:guest/http@", "--http", "requests to servers"),
        ("disperse:guest/http-async@", "--http", "requests to servers"),
        ("wasi:http/outgoing-handler@", "--http", "requests to servers"),
        ("disperse:guest/exec@", "--exec", "programs of the machine"),
    ];
    // Nothing is ever open to an operation's planner and tasks.
    let imports = |prefix: &str| contract.imports.iter().any(|import| import.name.starts_with(prefix));
    let found =
        GRANTS.map(|(prefix, flag, what)| (contract.worker.is_some() && imports(prefix)).then_some((flag, what)));
    let mut found: Vec<_> = found.into_iter().flatten().collect();
    found.dedup();
    found.into_iter()
}
