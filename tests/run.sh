#!/usr/bin/env bash
# Runs every test, then greps everything that was printed for every secret that was used.
set -euo pipefail
cd "$(dirname "$0")/.."
out=target/test-output.log
export VESTIBULE_TEST_SECRETS=$PWD/target/test-secrets.txt
: >"$VESTIBULE_TEST_SECRETS"

# The first command of each pipe is the one whose verdict counts.
set +e
if command -v cargo-nextest >/dev/null; then
  cargo nextest run --no-fail-fast --success-output final --failure-output immediate-final 2>&1 | tee "$out" \
    | grep -E '^ +(PASS|FAIL|TIMEOUT|SIG|SLOW|Summary|Compiling|Finished)|^error|panicked'
  status=${PIPESTATUS[0]}
else
  cargo test --no-fail-fast -- --nocapture 2>&1 | tee "$out"
  status=${PIPESTATUS[0]}
fi
set -e
[ "$status" = 0 ] || { echo "tests failed; everything they printed is in $out"; exit "$status"; }

[ -s "$VESTIBULE_TEST_SECRETS" ] || { echo "the suite named no secret: the search for leaks would prove nothing"; exit 1; }
if LC_ALL=C grep -aFf "$VESTIBULE_TEST_SECRETS" "$out" >target/test-leaks.txt; then
  echo "secrets were printed (target/test-leaks.txt):"; cut -c1-200 target/test-leaks.txt | head -20; exit 1
fi
echo "no secret in what the suite printed: $(sort -u "$VESTIBULE_TEST_SECRETS" | wc -l) secrets, $(wc -l <"$out") lines"
cargo test --doc --quiet
