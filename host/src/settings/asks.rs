//! The requests of a manifest beyond sandboxed computation on files of its own folder.
//!
//! The user who runs a folder has often neither written nor read its manifest. So everything in it that reaches out of the
//! sandbox or out of the folder is a request, granted only when the folder is trusted: build commands, grants, secrets, and
//! paths that lead out of the folder. Limits, pools, quotas, health, arguments and settings need no trust.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::manifest::{Manifest, SecretTable};
use crate::{files::leads_out, grants::Dir, signer::signature_of};

/// One request of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Ask {
    pub(crate) what: AskKind,
    /// The command, the grant, the secret's name and source, or the path and its target.
    pub(crate) value: String,
    /// The table of the manifest: `[operation]`, `[worker]` or `[[pool]] NAME`.
    pub(crate) table: String,
    /// Whether it reaches beyond the folder. False only for a folder within it that is granted read-only.
    pub(crate) dangerous: bool,
}

/// The value of [`Ask::table`] for an operation.
pub(crate) const OPERATION: &str = "[operation]";

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AskKind {
    /// A build command, which runs with the user's rights.
    Build,
    /// A program that workers may run.
    Exec,
    /// A folder that workers see.
    Dir,
    /// Requests that workers may send.
    Http,
    /// A secret that workers' requests may carry.
    Secret,
    /// A file out of the folder that is read.
    Path,
}

impl AskKind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Exec => "exec",
            Self::Dir => "dir",
            Self::Http => "http",
            Self::Secret => "secret",
            Self::Path => "path",
        }
    }
}

/// The keys that the tables of an operation, a worker and a pool share.
struct Table<'a> {
    name: Cow<'a, str>,
    component: &'a Path,
    build: Option<&'a str>,
    sources: &'a [PathBuf],
    dirs: &'a [String],
    exec: &'a [Vec<String>],
    http: &'a [String],
    secrets: Vec<&'a BTreeMap<String, SecretTable>>,
}

impl Manifest {
    /// All requests of the manifest of this folder, in the manifest's order. `signed`: whether components must have a signature
    /// even if the manifest names no key.
    pub(crate) fn asks(&self, folder: &Path, signed: bool) -> Vec<Ask> {
        let signed = signed || self.signed_by.is_some();
        let mut asks = Vec::new();
        for table in self.tables() {
            let mut add = |what, value: String, dangerous| {
                asks.push(Ask {
                    what,
                    value,
                    table: table.name.clone().into_owned(),
                    dangerous,
                });
            };
            table.add(folder, signed, &mut add);
        }
        asks
    }

    /// The paths of all components, in the manifest's order.
    pub(crate) fn components(&self) -> Vec<&Path> {
        self.tables().map(|table| table.component).collect()
    }

    fn tables(&self) -> impl Iterator<Item = Table<'_>> {
        let operation = self.operation.iter().map(|operation| Table {
            name: OPERATION.into(),
            component: &operation.component,
            build: operation.build.as_deref(),
            sources: &operation.sources,
            dirs: &[],
            exec: &[],
            http: &[],
            secrets: Vec::new(),
        });
        let worker = self.worker.iter().map(|worker| Table {
            name: "[worker]".into(),
            component: &worker.component,
            build: worker.build.as_deref(),
            sources: &worker.sources,
            dirs: &worker.dirs,
            exec: &worker.exec,
            http: &worker.http,
            secrets: vec![&worker.secrets],
        });
        let pools = self.pool.iter().map(|pool| Table {
            name: format!("[[pool]] {}", pool.name).into(),
            component: &pool.component,
            build: pool.build.as_deref(),
            sources: &pool.sources,
            dirs: &pool.dirs,
            exec: &pool.exec,
            http: &pool.http,
            secrets: std::iter::once(&pool.secrets)
                .chain(pool.worker.iter().map(|worker| &worker.secrets))
                .collect(),
        });
        operation.chain(worker).chain(pools)
    }
}

impl Table<'_> {
    fn add(&self, folder: &Path, signed: bool, add: &mut impl FnMut(AskKind, String, bool)) {
        let mut path = |path: &Path| {
            if let Some(target) = leads_out(folder, path) {
                add(AskKind::Path, leading(&path.display().to_string(), path, &target), true);
            }
        };
        path(self.component);
        if signed {
            path(&signature_of(self.component));
        }
        if let Some(build) = self.build {
            for source in self.sources {
                let text = source.to_str().and_then(|text| text.strip_prefix('!'));
                path(text.map_or(source, Path::new));
            }
            add(AskKind::Build, build.to_owned(), true);
        }
        for words in self.exec {
            add(AskKind::Exec, command(words), true);
        }
        for dir in self.dirs {
            let (host, _, writable) = Dir::parts(dir);
            match leads_out(folder, Path::new(host)) {
                Some(target) => add(AskKind::Dir, leading(dir, Path::new(host), &target), true),
                None => add(AskKind::Dir, dir.clone(), writable),
            }
        }
        for rule in self.http {
            add(AskKind::Http, rule.clone(), true);
        }
        for (name, secret) in self.secrets.iter().copied().flatten() {
            add(AskKind::Secret, origin(name, secret), true);
        }
    }
}

/// The text from the manifest, followed by the target of its path if the two differ.
fn leading(written: &str, path: &Path, target: &Path) -> String {
    if path == target {
        written.to_owned()
    } else {
        format!("{written} -> {}", target.display())
    }
}

/// The words of a command, quoted for a shell, so that their ends are visible.
///
/// Not shlex: it also quotes the `*` and `=` of patterns. This is read, and never run.
fn command(words: &[String]) -> String {
    let word = |word: &String| {
        if word.is_empty() || word.contains(|c: char| c.is_whitespace() || c == '\'') {
            format!("'{}'", word.replace('\'', r"'\''"))
        } else {
            word.clone()
        }
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// A secret in the form of `--secret`, and the requests that it is bound to.
fn origin(name: &str, secret: &SecretTable) -> String {
    let from = match (&secret.env, &secret.file) {
        (Some(variable), _) => format!("env:{variable}"),
        (None, Some(file)) => format!("file:{}", file.display()),
        (None, None) => "nothing".to_owned(),
    };
    match &secret.hosts {
        Some(hosts) => format!("{name}={from} to {}", hosts.join(", ")),
        None => format!("{name}={from}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(folder: &Path, text: &str) -> Vec<(AskKind, String, bool)> {
        let manifest = Manifest::parse(text).unwrap();
        let asks = manifest.asks(folder, false).into_iter();
        asks.map(|ask| (ask.what, ask.value, ask.dangerous)).collect()
    }

    #[test]
    fn sandboxed_computation_on_files_of_the_folder_is_no_request() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"
            [operation]
            component = "op.wasm"
            args = ["a"]
            sources = ["../not-built"]
            [limits]
            memory = "1GiB"
            [compile]
            timeout = "1h"
            [[pool]]
            name = "p"
            component = "sub/../worker.wasm"
            quota = [{ concurrent = 2 }]
            [[pool.worker]]
            name = "w"
            settings = { A = "b" }
        "#;
        assert_eq!(asks(folder.path(), text), []);
    }

    #[test]
    fn everything_that_leads_out_of_sandbox_or_folder_is_a_request() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("etc")).unwrap();
        let text = r#"
            signed-by = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
            [operation]
            component = "/op.wasm"
            build = "make"
            sources = ["src", "/usr/src"]
            [[pool]]
            name = "p"
            component = "worker.wasm"
            exec = [["/bin/sh", "-c", "a b"]]
            dirs = ["data", "data::/in:rw", "etc", "/::/host:rw"]
            http = ["https://a.com"]
            secrets = { A = { env = "TOKEN", hosts = ["https://b.com"] } }
            [[pool.worker]]
            name = "w"
            secrets = { B = { file = "token" } }
        "#;
        use AskKind::*;
        let wanted = [
            (Path, "/op.wasm", true),
            (Path, "/op.wasm.minisig", true),
            (Path, "/usr/src", true),
            (Build, "make", true),
            (Exec, "/bin/sh -c 'a b'", true),
            (Dir, "data", false),
            (Dir, "data::/in:rw", true),
            (Dir, "etc -> /etc", true),
            (Dir, "/::/host:rw", true),
            (Http, "https://a.com", true),
            (Secret, "A=env:TOKEN to https://b.com", true),
            (Secret, "B=file:token", true),
        ];
        let wanted: Vec<_> = wanted
            .map(|(what, value, dangerous)| (what, value.to_owned(), dangerous))
            .into();
        assert_eq!(asks(folder.path(), text), wanted);
    }
}
