//! Completions of the names of runs and workers.

use clap_complete::Shell;

use crate::{
    cli::{args::NameKind, recording::RecordedRun},
    control::{Folder, Query, State, Status, ask},
    text::plain_line,
};

/// The script that completes names of runs and workers, to be appended to clap's script for a shell. Empty for shells without one.
pub(crate) fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => BASH,
        Shell::Fish => FISH,
        Shell::Zsh => ZSH,
        _ => "",
    }
}

/// clap's script without its end. For zsh, the end calls or registers clap's function; the appended [`ZSH`] does this with its own.
pub(crate) fn without_end(shell: Shell, script: &str) -> String {
    match (shell, script.rsplit_once("\nif [ \"$funcstack[1]\" =")) {
        // zsh loads the file as a function of this name.
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
        resume | results | export | rm) what=recorded ;;
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

/// The word before the completed one selects the kind of names; clap's own function completes everything else. Names of workers come
/// from a manifest and are untrusted: `compgen -W` would expand them, including commands in them.
const BASH: &str = r#"
_disperse_host_names() {
    local last=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} what= name
    case $before in
        --run) what=runs ;;
        readmit | drain | worker) what=workers ;;
        resume | results | export | rm) what=recorded ;;
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
complete -c disperse-host -n "__fish_seen_subcommand_from resume results export rm" -a "(disperse-host __complete recorded 2>/dev/null)"
"#;

/// The names, one a line. Empty on any error: a shell cannot show one while it completes a line.
pub(crate) fn names(what: NameKind) -> String {
    let names = match what {
        NameKind::Runs => runs().unwrap_or_default(),
        NameKind::Recorded => {
            let runs = RecordedRun::all().unwrap_or_default();
            runs.iter().map(RecordedRun::name).collect()
        }
        NameKind::Workers => workers().unwrap_or_default(),
    };
    names.iter().map(|name| plain_line(name).into_owned() + "\n").collect()
}

fn runs() -> Option<Vec<String>> {
    let runs = Folder::find().ok()??.runs().ok()?;
    Some(runs.iter().map(|run| run.id.to_string()).collect())
}

fn workers() -> Option<Vec<String>> {
    let folder = Folder::find().ok()??;
    let runs = folder.runs().ok()?;
    let asked = runs.iter().find(|run| run.state == State::Up).or(runs.first())?;
    match ask(&folder, &asked.id, &Query::Run).ok()?.status {
        Status::Run(run) => Some(run.names),
        _ => None,
    }
}
