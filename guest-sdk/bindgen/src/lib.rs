//! Generates the bindings of `disperse-guest`. They are committed, so that a project does not compile the generator and
//! its twenty dependencies. After a change of `wit/`:
//!
//! ```console
//! $ UPDATE_BINDINGS=1 cargo test -p disperse-bindgen
//! ```

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::{env, fs, path::Path};

    const MODULES: [&str; 7] = [
        "both",
        "both_async",
        "imports",
        "operation",
        "operation_async",
        "worker",
        "worker_async",
    ];

    #[test]
    fn committed_bindings_equal_the_generated_ones() {
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/bindings");
        for module in MODULES {
            let name = format!("{module}.rs");
            let generated = fs::read_to_string(Path::new(env!("OUT_DIR")).join(&name)).unwrap();
            let path = committed.join(&name);
            if env::var_os("UPDATE_BINDINGS").is_some() {
                fs::create_dir_all(&committed).unwrap();
                fs::write(&path, &generated).unwrap();
            }
            assert!(
                fs::read_to_string(&path).unwrap_or_default() == generated,
                "{} is out of date: run this test with UPDATE_BINDINGS=1",
                path.display()
            );
        }
        assert_eq!(fs::read_dir(committed).unwrap().count(), MODULES.len());
    }
}
