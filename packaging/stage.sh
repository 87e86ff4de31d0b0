#!/usr/bin/env bash
# What a package holds besides the program: made into target/package/ from the tree and the program.
#
#   packaging/stage.sh PROGRAM
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1
out=target/package
rm -rf "$out"
mkdir -p "$out"

"$program" man --dir "$out/man"
"$program" completions bash >"$out/vestibule.bash"
"$program" completions zsh >"$out/_vestibule"
"$program" completions fish >"$out/vestibule.fish"

# The date of the tree, so that the same tree makes the same package.
date=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
version=$("$program" --version | cut -d' ' -f2)
cat >"$out/changelog" <<TEXT
vestibule ($version-1) unstable; urgency=medium

  * What has changed is in /usr/share/doc/vestibule/changelog.gz.

 -- Vestibule <vestibule@example.org>  $(LC_ALL=C date -u -R -d "@$date")
TEXT
gzip -9nc CHANGELOG.md >"$out/changelog.gz"
python3 packaging/libraries.py | gzip -9n >"$out/libraries.txt.gz"
