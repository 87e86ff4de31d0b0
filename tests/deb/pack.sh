#!/usr/bin/env bash
# Packs a program that is built already, twice: target/debian/test/{one,two}.deb, of which the second is newer. Quickly
# compressed; otherwise as `make deb` does it.
#
#   pack.sh PROGRAM PROFILE
set -euo pipefail
cd "$(dirname "$0")/../.."
out=target/debian/test
rm -rf "$out"
mkdir -p "$out"
packaging/stage.sh "$1"
target/tools/bin/cargo-deb --no-build --profile "$2" --fast --locked --quiet --output "$out/one.deb"
dpkg-deb -R "$out/one.deb" "$out/newer"
sed -i 's/^\(Version: .*\)-1$/\1-2/' "$out/newer/DEBIAN/control"
# The config that comes with it has changed, too.
echo '# Newer.' >>"$out/newer/etc/vestibule/vestibule.yaml"
dpkg-deb -Zgzip -z1 --root-owner-group -b "$out/newer" "$out/two.deb" >/dev/null
rm -r "$out/newer"
