# The commands that a developer repeats; `just` lists them. All build with the profile `ci`, so that wasmtime is built once.

_list:
    @just --list

# Check everything that is Rust, without linking: the fastest answer
check:
    cargo check --locked --profile ci --workspace --tests

# Build the binary and run it: `just run map examples/square --trust-manifest`
run *ARGS:
    cargo run --locked --profile ci --bin disperse-host -- {{ARGS}}

# Run the tests of the program whose names contain FILTER: `just test retries`
test *FILTER:
    cargo test --locked --profile ci --workspace --test it -- {{FILTER}}

# Format and lint, as .ci/run does
lint:
    cargo fmt
    cargo clippy --locked --profile ci --workspace --all-targets -- -D warnings

# Write the files that tests compare: schemas, mistakes, the tables of the book
snapshots:
    cargo build --locked --profile ci --bin disperse-host
    for name in cache compile events explain inspect manifest test; do target/ci/disperse-host schema $name > docs/schema/$name.json; done
    DISPERSE_UPDATE=1 cargo test --locked --profile ci --workspace --test it -- mistakes
    python3 docs/book/manifest.py

# Everything that has to hold
ci:
    .ci/run
