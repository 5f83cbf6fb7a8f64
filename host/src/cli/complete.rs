//! Names that only this machine knows, for completions: of runs and of workers.

use clap_complete::Shell;

use super::args::Completed;
use crate::{
    control::{AskError, Folder, Query, State, Status, ask},
    text::plain_line,
};

/// What completes the names of runs and workers, after what clap has made for a shell. Not for every shell.
pub(super) fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => BASH,
        Shell::Fish => FISH,
        Shell::Zsh => ZSH,
        _ => "",
    }
}

/// clap's script for zsh calls its function at its end, or registers it. Here both are to be done with [`ZSH`], which comes after it.
pub(super) fn without_end(shell: Shell, script: &str) -> String {
    match (shell, script.rsplit_once("\nif [ \"$funcstack[1]\" =")) {
        // The file is itself a function of this name where zsh loads it.
        (Shell::Zsh, Some((functions, _))) => {
            functions.replacen("\n_disperse-host() {", "\n_disperse_host() {", 1) + "\n"
        }
        _ => script.to_owned(),
    }
}

const ZSH: &str = r#"
_disperse_host_names() {
    local what=
    case $words[CURRENT-1] in
        --run) what=runs ;;
        readmit | drain | worker) what=workers ;;
    esac
    if [[ $words[CURRENT] == --run=* ]]; then
        what=runs
        compset -P '--run='
    elif [[ $words[CURRENT] == -* ]]; then
        what=
    fi
    if [[ -n $what ]]; then
        local -a names
        names=(${(f)"$(${(Q)words[1]} __complete $what 2>/dev/null)"})
        compadd -a names
    else
        _disperse_host "$@"
    fi
}

if [ "$funcstack[1]" = "_disperse-host" ]; then
    _disperse_host_names "$@"
else
    compdef _disperse_host_names disperse-host
fi
"#;

/// The word before the one that is completed says what it is; clap's own function does the rest. A name is whatever a manifest calls
/// a worker: `compgen -W` would expand it, commands in it included, and the line that is typed is one of the shell.
const BASH: &str = r#"
_disperse_host_names() {
    local last=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} what= name
    case $before in
        --run) what=runs ;;
        readmit | drain | worker) what=workers ;;
    esac
    if [[ -n $what && $last != -* ]]; then
        COMPREPLY=()
        while IFS= read -r name; do
            [[ $name != "$last"* ]] || COMPREPLY+=("$(printf %q "$name")")
        done < <("${COMP_WORDS[0]}" __complete "$what" 2>/dev/null)
    else
        _disperse__host "$@"
    fi
}
complete -F _disperse_host_names -o nosort -o bashdefault -o default disperse-host 2>/dev/null ||
    complete -F _disperse_host_names -o bashdefault -o default disperse-host
"#;

const FISH: &str = r#"
complete -c disperse-host -n "__fish_seen_subcommand_from explain readmit workers drain" -l run -x -a "(disperse-host __complete runs 2>/dev/null)"
complete -c disperse-host -n "__fish_seen_subcommand_from readmit drain worker" -f -a "(disperse-host __complete workers 2>/dev/null)"
"#;

/// The names, one a line. What cannot be found out has none: an error has no place in a line that is typed.
pub(super) fn names(what: Completed) -> String {
    let mut names = Vec::new();
    if let Ok(Some(folder)) = Folder::find()
        && let Ok(runs) = folder.runs()
    {
        match what {
            Completed::Runs => names.extend(runs.iter().map(|run| run.id.to_string())),
            Completed::Workers => {
                let asked = runs.iter().find(|run| run.state == State::Up).or(runs.first());
                let response: Option<Result<_, AskError>> = asked.map(|run| ask(&folder, &run.id, &Query::Run));
                if let Some(Ok(response)) = response
                    && let Status::Run(run) = response.status
                {
                    names.extend(run.names);
                }
            }
        }
    }
    names.iter().map(|name| plain_line(name).into_owned() + "\n").collect()
}
