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
# A code is a few digits: the fraction of a time of day, or a piece of a longer word, is not one.
export LC_ALL=C
is_code='^[0-9 ]+$'
texts=target/test-secret-texts.txt codes=target/test-secret-codes.txt
grep -vE "$is_code" "$VESTIBULE_TEST_SECRETS" >"$texts"
grep -E "$is_code" "$VESTIBULE_TEST_SECRETS" >"$codes"
leaks() {
  grep -aFf "$texts" "$1" || true
  sed -E 's/T([0-9]{2}:){2}[0-9]{2}\.[0-9]+Z/T/' "$1" | grep -aFwf "$codes" || true
}
# It must be able to find something: one of each kind.
printf 'x%sx\n2026-01-01T00:00:00.000000Z code=%s\n' "$(head -n1 "$texts")" "$(head -n1 "$codes")" >target/test-canary.txt
[ "$(leaks target/test-canary.txt | wc -l)" = 2 ] || { echo "the search for leaks finds nothing"; exit 1; }
leaks "$out" >target/test-leaks.txt
if [ -s target/test-leaks.txt ]; then
  echo "secrets were printed (target/test-leaks.txt):"; cut -c1-200 target/test-leaks.txt | head -20; exit 1
fi
echo "no secret in what the suite printed: $(sort -u "$VESTIBULE_TEST_SECRETS" | wc -l) secrets, $(wc -l <"$out") lines"
cargo test --doc --quiet

# What a machine could not try is told last, where it is read. In CI nothing may be left out.
not_run=$(grep -aE '^ *NOT RUN:' "$out" | sort -u || true)
if [ -n "$not_run" ]; then
  echo "$not_run"
  [ -z "${CI:-}" ] || { echo "in CI every test must run"; exit 1; }
fi
