# Recipes for people; CI runs .ci/run.

# List the recipes.
default:
    @just --list

# Check format and lints.
check:
    cargo fmt --all --check
    cargo clippy --locked --all-targets --all-features -- -D warnings

# Run the whole suite, or the tests that match a filter.
test *filter:
    {{ if filter == "" { "cargo test --locked" } else { "cargo nextest run --locked " + filter } }}

# Run the long tests: up to an hour.
long:
    cargo test --locked -- --ignored

# Renew the screen snapshots; read the difference before committing it.
snap:
    INSTA_UPDATE=always cargo test --locked --lib console::

# Renew the tables of keys: docs/keys.md and the short one in the README.
keys:
    UPDATE_KEYS=1 cargo test --locked the_tables_of_keys

# Renew the page of importers: docs/reference/importers.md.
importers:
    UPDATE_IMPORTERS=1 cargo test --locked the_page_of_importers

# Open the console on an invented trail.
demo *args:
    cargo run --release -- demo {{ args }}

# Run all that has to pass before a change lands.
ci:
    bash .ci/run
