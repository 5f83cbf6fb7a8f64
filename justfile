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

# Write the files that tests compare: schemas, texts of the program (all, or those of tests that contain FILTER), the tables of the book
snapshots *FILTER:
    cargo build --locked --profile ci --bin disperse-host
    for name in actions cache compile events explain inspect manifest results runs test; do target/ci/disperse-host schema $name > docs/schema/$name.json; done
    INSTA_UPDATE=always cargo test --locked --profile ci --workspace --test it -- {{FILTER}}
    python3 docs/book/manifest.py

# Everything that has to hold
ci:
    .ci/run
