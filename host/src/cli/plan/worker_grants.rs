//! The grants, variables and secrets of workers, from flags and manifest tables.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use zeroize::Zeroizing;

use crate::{
    cli::{args::Common, console::Failure},
    grants::{Dir, ExecRule, Grants, HttpRule, Secret},
    sandbox::forget_variables,
    settings::{Manifest, SecretForm, SecretTable},
};

/// The largest file of a secret, in bytes. A header cannot hold more anyway.
const SECRET_MAX: u64 = 16 << 10;

/// Grants and secrets. The secrets are not bound to requests yet.
#[derive(Clone, Default)]
pub(super) struct WorkerGrants {
    pub(super) grants: Grants,
    pub(super) secrets: Vec<Secret>,
}

impl WorkerGrants {
    /// The grants and secrets of the flags.
    ///
    /// # Errors
    /// A value is invalid, or the source of a secret is missing.
    pub(super) fn typed(common: &Common) -> Result<Self, Failure> {
        let exec: Vec<Vec<&str>> = common
            .exec
            .iter()
            .map(|rule| rule.split_whitespace().collect())
            .collect();
        let base = Path::new(".");
        Ok(Self {
            grants: grants(&common.dir, exec, &common.http, base)?,
            secrets: common
                .secret
                .iter()
                .map(|text| typed_secret(text, base))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The grants and secrets of a manifest's table, `[[pool]]` or `[worker]`.
    ///
    /// # Errors
    /// As [`WorkerGrants::typed`].
    pub(super) fn written(
        dirs: &[String],
        exec: &[Vec<String>],
        http: &[String],
        secret: &BTreeMap<String, SecretTable>,
        folder: &Path,
    ) -> Result<Self, Failure> {
        Ok(Self {
            grants: grants(dirs, exec, http, folder)?,
            secrets: secrets(secret, folder)?,
        })
    }

    /// The union with `more`. Of two secrets with the same name it has the one of `self`.
    pub(super) fn and(mut self, more: &Self) -> Self {
        self.grants = self.grants.and(&more.grants);
        self.secrets = over(self.secrets, &more.secrets);
        self
    }
}

/// `secrets`, and those of `others` that have other names.
pub(super) fn over(mut secrets: Vec<Secret>, others: &[Secret]) -> Vec<Secret> {
    for other in others {
        if secrets.iter().all(|secret| secret.name != other.name) {
            secrets.push(other.clone());
        }
    }
    secrets
}

fn grants<S: AsRef<str>>(
    dirs: &[String],
    exec: impl IntoIterator<Item = impl AsRef<[S]>>,
    http: &[String],
    base: &Path,
) -> Result<Grants, Failure> {
    let dir = |text: &String| {
        let what = || format!("cannot grant the folder `{text}`");
        Dir::parse(text, base).map_err(|error| {
            if error.is_of_machine() {
                Failure::machine(what(), &error)
            } else {
                let failure = Failure::usage(what());
                match error.hint() {
                    Some(hint) => failure.because(error).hint(hint),
                    None => failure.because(error),
                }
            }
        })
    };
    let rule = |words: &[S]| {
        let shown = || words.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
        ExecRule::new(words.iter().map(AsRef::as_ref)).map_err(|error| {
            let hint = error.hint(std::env::var_os("PATH").as_deref());
            let failure = Failure::usage(format!("cannot grant the program `{}`", shown())).because(error);
            match hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })
    };
    Ok(Grants {
        dirs: dirs.iter().map(dir).collect::<Result<_, _>>()?,
        exec: exec
            .into_iter()
            .map(|words| rule(words.as_ref()))
            .collect::<Result<_, _>>()?,
        http: http_rules(http)?,
    })
}

fn http_rules(texts: &[String]) -> Result<Vec<HttpRule>, Failure> {
    let rule = |text: &String| {
        let failed = |error| Failure::usage(format!("cannot grant the requests `{text}`")).because(error);
        text.parse().map_err(failed)
    };
    texts.iter().map(rule).collect()
}

/// The variable of `NAME=VALUE`, or of `NAME` with its value in this process.
pub(super) fn variable(text: &str) -> Result<(String, String), Failure> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        None => {
            let here = std::env::var(text);
            let unset = || Failure::usage(format!("cannot pass `--env {text}`"));
            (
                text,
                here.map_err(|error| unset().because(error).hint("set it, or write --env NAME=VALUE"))?,
            )
        }
    };
    if name.is_empty() {
        return Err(Failure::usage(format!("`--env {text}` has no name")).hint("write NAME[=VALUE]"));
    }
    Ok((name.to_owned(), value))
}

/// The secrets of a table.
///
/// # Errors
/// A secret is missing or invalid.
pub(super) fn secrets(tables: &BTreeMap<String, SecretTable>, folder: &Path) -> Result<Vec<Secret>, Failure> {
    tables.iter().map(|(name, table)| secret(name, table, folder)).collect()
}

/// The sources of all secrets of flags and manifest.
pub(super) fn sources<'a>(common: &'a Common, manifest: &'a Manifest) -> impl Iterator<Item = Source<'a>> {
    let typed = common.secret.iter().filter_map(|text| {
        let (_, from) = text.split_once('=')?;
        Some(match from.split_once(':')? {
            ("env", variable) => Source::Variable(variable),
            ("file", path) => Source::Typed(Path::new(path)),
            _ => return None,
        })
    });
    let pools = manifest.pool.iter();
    let workers = pools.clone().flat_map(|pool| &pool.worker);
    let tables = manifest.worker.iter().map(|worker| &worker.secrets);
    let tables = tables.chain(pools.map(|pool| &pool.secrets));
    let tables = tables.chain(workers.map(|worker| &worker.secrets));
    let source = |table: &'a SecretTable| match (&table.env, &table.file) {
        (Some(variable), _) => Some(Source::Variable(variable)),
        (None, Some(path)) => Some(Source::Written(path)),
        (None, None) => None,
    };
    typed.chain(tables.flat_map(move |table| table.values().filter_map(source)))
}

/// The source of a secret.
pub(super) enum Source<'a> {
    Variable(&'a str),
    /// A file, relative to the current folder.
    Typed(&'a Path),
    /// A file, relative to the manifest's folder.
    Written(&'a Path),
}

/// Hides the secrets from other processes, which could read them by `/proc` or as a debugger: removes them from this process's
/// initial environment, and bars processes without privileges from its memory. To be called after all secrets are read and before
/// the runtime starts.
pub(super) fn hide(common: &Common, manifest: &Manifest) {
    let mut any = false;
    let variables = sources(common, manifest).inspect(|_| any = true);
    forget_variables(variables.filter_map(|source| match source {
        Source::Variable(name) => Some(name),
        Source::Typed(_) | Source::Written(_) => None,
    }));
    if any {
        // If Linux denies it, the system's own rules remain.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// `NAME=env:VAR` or `NAME=file:PATH`.
fn typed_secret(text: &str, base: &Path) -> Result<Secret, Failure> {
    let parts = text.split_once('=').and_then(|(name, from)| {
        let (source, place) = from.split_once(':')?;
        match source {
            "env" => Some((name, Some(place.to_owned()), None)),
            "file" => Some((name, None, Some(PathBuf::from(place)))),
            _ => None,
        }
    });
    let Some((name, env, file)) = parts else {
        // The text is not shown: it may be the value itself.
        let name = text.split('=').next().unwrap_or_default();
        return Err(Failure::usage(format!("the secret `{name}` has no valid source"))
            .hint("write NAME=env:VAR or NAME=file:PATH; every user of this machine could see the value itself here"));
    };
    let table = SecretTable {
        env,
        file,
        hosts: None,
        form: None,
    };
    secret(name, &table, base)
}

fn secret(name: &str, table: &SecretTable, folder: &Path) -> Result<Secret, Failure> {
    let failure = || Failure::usage(format!("the secret `{name}` cannot be used"));
    if let Some(why) = Secret::wrong_name(name) {
        return Err(failure().because(why));
    }
    let value = match (&table.env, &table.file) {
        (Some(variable), None) => std::env::var(variable).map(Zeroizing::new).map_err(|error| {
            // Not the message of the error, which contains the value if that is not text.
            let why = match error {
                std::env::VarError::NotPresent => "is not set",
                std::env::VarError::NotUnicode(_) => "is not text",
            };
            failure().because(format!("the variable `{variable}` {why}"))
        }),
        (None, Some(file)) => {
            let path = folder.join(file);
            read(&path).map_err(|error| failure().because(format!("cannot read `{}`: {error}", path.display())))
        }
        _ => Err(failure().because("it needs either `env` or `file`")),
    }?;
    let hosts = table.hosts.as_deref().map(http_rules).transpose()?;
    let basic = table.form == Some(SecretForm::Basic);
    Secret::new(name.to_owned(), value, hosts, basic).map_err(|error| failure().because(error))
}

/// The text of a file without its trailing line break.
fn read(path: &Path) -> std::io::Result<Zeroizing<String>> {
    use std::io::{Error, ErrorKind, Read};

    let file = std::fs::File::open(path)?;
    // Allocated in full, so that no copy is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(SECRET_MAX as usize + 1));
    file.take(SECRET_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SECRET_MAX {
        return Err(Error::new(ErrorKind::InvalidData, "it is too large for a secret"));
    }
    let end = text
        .strip_suffix('\n')
        .map(|rest| rest.strip_suffix('\r').unwrap_or(rest).len());
    if let Some(end) = end {
        text.truncate(end);
    }
    Ok(text)
}
