//! `trust`: grants and revokes trust in manifests, and lists what they ask for.

use crate::{
    cli::{
        args::TrustArgs,
        console::{Failure, exit, print},
        project::{Source, Store, manifest_path, source, store_failure, trust::lines},
    },
    text::{plain, plain_line},
};

/// Runs `trust`.
pub(crate) fn trust(args: &TrustArgs) -> Result<u8, Failure> {
    let store = Store::user().map_err(store_failure)?;
    let Some(path) = args.path.as_deref().filter(|_| !args.list) else {
        let all = store.all().map_err(store_failure)?;
        let lines: String = all
            .iter()
            .map(|path| format!("{}\n", plain_line(&path.display().to_string())))
            .collect();
        print(&lines)?;
        return Ok(exit::DONE);
    };
    if args.revoke {
        let manifest = manifest_path(path);
        let was = store.revoke(&manifest).map_err(store_failure)?;
        let shown = manifest.display();
        print(&plain(&if was {
            format!("`{shown}` is no longer trusted\n")
        } else {
            format!("`{shown}` was not trusted\n")
        }))?;
        return Ok(exit::DONE);
    }
    let Source::Project(project) = source(path, !args.show)? else {
        return Err(
            Failure::usage(format!("`{}` is a component and asks for nothing", path.display()))
                .hint("only a folder with a disperse.toml can be trusted"),
        );
    };
    let asks = project.asks(false);
    let shown = plain_line(&project.source.path.display().to_string()).into_owned();
    if asks.is_empty() {
        print(&format!("`{shown}` asks for nothing that needs trust\n"))?;
    } else {
        print(&format!("`{shown}` asks for\n{}", lines(&asks, usize::MAX, usize::MAX)))?;
    }
    if args.show {
        let trusted = store.has(&project.source).map_err(store_failure)?;
        print(if trusted {
            "it is trusted\n"
        } else {
            "it is not trusted\n"
        })?;
    } else {
        store.record(&project.source).map_err(store_failure)?;
        print("it is trusted now, until it changes\n")?;
    }
    Ok(exit::DONE)
}
