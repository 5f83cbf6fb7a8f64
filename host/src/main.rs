//! `disperse-host`.

fn main() -> std::process::ExitCode {
    disperse_host::main()
}
