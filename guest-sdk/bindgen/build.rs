//! Generates the bindings of each world of `wit/` into `OUT_DIR`; the test of this crate compares them with the committed ones.
#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

use std::{env, fs, path::Path};

use anyhow::{Context, Result};
use wit_bindgen_core::{Files, WorldGenerator as _, wit_parser::Resolve};
use wit_bindgen_rust::{Opts, WithOption};

/// Every interface that any world imports, generated once, so that there is one Rust type for each WIT type.
const IMPORTS: &str = "
    package disperse:sdk;
    world imports {
        import disperse:guest/types@0.1.0;
        import disperse:guest/log@0.1.0;
        import disperse:guest/output@0.1.0;
        import disperse:guest/host@0.1.0;
        import disperse:guest/host-async@0.1.0;
        import disperse:guest/attempt@0.1.0;
        import disperse:guest/quota@0.1.0;
        import disperse:guest/http-types@0.1.0;
        import disperse:guest/http@0.1.0;
        import disperse:guest/http-async@0.1.0;
        import disperse:guest/exec@0.1.0;
    }
";

/// The worlds with exports, each with the interfaces that it imports: a mapping that a world does not use is an error.
const WORLDS: [(&str, &[&str]); 6] = [
    ("operation", &["types", "log", "output", "host"]),
    ("operation-async", &["types", "log", "output", "host-async"]),
    (
        "worker",
        &["types", "log", "attempt", "quota", "http-types", "http", "exec"],
    ),
    (
        "worker-async",
        &["types", "log", "attempt", "quota", "http-types", "http-async", "exec"],
    ),
    (
        "both",
        &[
            "types",
            "log",
            "output",
            "host",
            "attempt",
            "quota",
            "http-types",
            "http",
            "exec",
        ],
    ),
    (
        "both-async",
        &[
            "types",
            "log",
            "output",
            "host-async",
            "attempt",
            "quota",
            "http-types",
            "http-async",
            "exec",
        ],
    ),
];

fn main() -> Result<()> {
    let wit = Path::new("../../wit");
    println!("cargo:rerun-if-changed={}", wit.display());
    println!("cargo:rerun-if-changed=build.rs");
    let imports = Opts {
        generate_all: true,
        ..options()
    };
    generate(wit, Some(IMPORTS), "disperse:sdk/imports", "imports", imports)?;
    for (world, interfaces) in WORLDS {
        let module = world.replace('-', "_");
        let with = |interface: &&str| {
            let path = format!("crate::bindings::imports::{}", interface.replace('-', "_"));
            (format!("disperse:guest/{interface}@0.1.0"), WithOption::Path(path))
        };
        let mut with: Vec<_> = interfaces.iter().map(with).collect();
        with.sort_by(|a, b| a.0.cmp(&b.0));
        let options = Opts {
            with,
            pub_export_macro: true,
            default_bindings_module: Some(format!("disperse_guest::__private::{module}")),
            ..options()
        };
        generate(wit, None, world, &module, options)?;
    }
    Ok(())
}

fn options() -> Opts {
    Opts {
        format: true,
        ..Opts::default()
    }
}

/// Writes the bindings of one world to `OUT_DIR/MODULE.rs`. `inline`: the package that has the world, if it is not the one of `wit`.
fn generate(wit: &Path, inline: Option<&str>, world: &str, module: &str, options: Opts) -> Result<()> {
    let mut resolve = Resolve::default();
    let (mut package, _) = resolve.push_path(wit)?;
    if let Some(text) = inline {
        package = resolve.push_str("inline", text)?;
    }
    let world = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files)?;
    let (_, text) = files.iter().next().context("the generator made nothing")?;
    let folder = env::var("OUT_DIR")?;
    Ok(fs::write(Path::new(&folder).join(format!("{module}.rs")), text)?)
}
