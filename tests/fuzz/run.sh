#!/bin/sh
# Runs every fuzz target for SECONDS (default 5) each, starting from the committed seeds:
#
#     tests/fuzz/run.sh [SECONDS]
#
# Ends at the first crash with a non-zero status and the path of the input that reproduces it. What a run finds
# on the way is thrown away; the same seed each time makes a run repeatable (`FUZZ_SEED=0` draws another, for campaigns); `FUZZ_KEEP=DIR` keeps it, one directory per target, for longer campaigns.
#
# Stable Rust and gcc suffice: coverage comes from LLVM's own pass (-Cpasses=sancov-module, set by cargo-fuzz), and
# address sanitizing, which would need a nightly compiler, has little to find in crates that deny unsafe code.
# RUSTC_BOOTSTRAP lets cargo-fuzz pass its unstable flags.
set -eu

seconds=${1:-5}
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
fuzz=$(pwd)
# Inside a directory of its own below a target directory that the caller has chosen.
if [ -n "${CARGO_TARGET_DIR:-}" ]; then
    export CARGO_TARGET_DIR="$CARGO_TARGET_DIR/fuzz"
else
    export CARGO_TARGET_DIR="$root/target/fuzz"
fi
export RUSTC_BOOTSTRAP=1
unset RUSTC_WORKSPACE_WRAPPER
triple=$(rustc -vV | sed -n 's/^host: //p')

if ! cargo fuzz --version >/dev/null 2>&1; then
    # A directory of its own again: its build must not invalidate, or be kept with, ours.
    CARGO_TARGET_DIR="$CARGO_TARGET_DIR/tool" cargo install cargo-fuzz --locked --quiet
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT INT TERM
keep=${FUZZ_KEEP:-$scratch}

# A short run is over before better code pays for its compiling: minutes on two cores.
if [ "$seconds" -le 20 ]; then
    export CARGO_PROFILE_RELEASE_OPT_LEVEL=1
fi

cargo fuzz build --fuzz-dir "$fuzz" --sanitizer none >"$scratch/build.log" 2>&1 || {
    cat "$scratch/build.log" >&2
    exit 1
}

targets=$(cargo fuzz list --fuzz-dir "$fuzz")
# One target, told in one line; 255 ends the others too.
cat >"$scratch/one" <<'EOF'
#!/bin/sh
target=$1
mkdir -p "$keep/$target" "artifacts/$target"
log="$scratch/$target.log"
# The first directory receives what is found, so it must not be the committed one.
if ! "$binaries/$target" "$keep/$target" "corpus/$target" \
    -seed="${FUZZ_SEED:-1}" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="$fuzz/artifacts/$target/" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    reproducer=$(sed -n 's/^.*Test unit written to //p' "$log" | tail -n 1)
    echo "fuzz: $target crashed, reproducer: ${reproducer:-none written, see above}" >&2
    exit 255
fi
# Without coverage feedback libFuzzer would only shake the seeds: that is a broken build, not a passed run.
if ! grep -q 'cov: [0-9]' "$log"; then
    echo "fuzz: $target reports no coverage, its instrumentation is missing" >&2
    exit 255
fi
runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
cover=$(sed -n 's/^.*cov: \([0-9]*\).*$/\1/p' "$log" | tail -n 1)
echo "$target: ${runs:-?} inputs, $cover edges"
EOF
binaries=$CARGO_TARGET_DIR/$triple/release
export keep scratch binaries fuzz seconds
# Each has one thread.
echo "$targets" | xargs -n 1 -P "$(nproc)" sh "$scratch/one"
count=$(echo "$targets" | wc -l)
echo "fuzz: $count targets, $seconds seconds each, no crash"
