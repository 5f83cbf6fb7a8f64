//! Reads a component and checks that it is the wanted one.

use std::path::Path;

use super::{
    component_file::{read, unusable},
    wanted::{File, Role},
};
use crate::{
    cli::console::Failure,
    digest::Digest,
    sandbox::{InspectedComponent, Sandbox},
    signer::{SignatureError, Signer},
};

/// Reads a component, checks its digest and signature, and then inspects it.
pub(super) fn look(sandbox: &Sandbox, file: &File) -> Result<InspectedComponent, Failure> {
    let path = &file.path;
    let bytes = read(path, file.wanted.iter().any(|wanted| wanted.typed))?;
    for signer in file.wanted.iter().filter_map(|wanted| wanted.signer.as_ref()) {
        check(path, &bytes, signer)?;
    }
    let found = Digest::of(&bytes);
    for pin in file.wanted.iter().filter_map(|wanted| wanted.pin) {
        if found != pin {
            return Err(
                Failure::usage(format!("`{}` is not the expected component", path.display()))
                    .because(format!("its SHA-256 is {found}, and {pin} is expected"))
                    .hint("has it been rebuilt or replaced? `inspect` shows what it is"),
            );
        }
    }
    let seen = sandbox.inspect(bytes, found).map_err(|error| unusable(path, &error))?;
    let contract = seen.contract();
    for wanted in &file.wanted {
        let (wrong, hint) = match wanted.role {
            Role::Operation if contract.operation.is_none() => (
                "is a worker, not an operation",
                "`map` calls a worker for each line of its input",
            ),
            Role::Worker if contract.worker.is_none() => (
                "is an operation, not a worker",
                "a worker exports `handle`; `run` runs an operation",
            ),
            _ => continue,
        };
        return Err(Failure::usage(format!("`{}` {wrong}", path.display())).hint(hint));
    }
    Ok(seen)
}

/// Checks the signature in the file beside a component.
fn check(path: &Path, component: &[u8], signer: &Signer) -> Result<(), Failure> {
    signer.check(path, component).map_err(|error| {
        let untrusted =
            Failure::usage(format!("`{}` has no valid signature by {signer}", path.display())).because(&error);
        match error {
            SignatureError::Unread(..) => untrusted.hint("the component's author signs it with `minisign -Sm`"),
            _ => untrusted,
        }
    })
}
