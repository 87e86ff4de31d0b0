"""The libraries that the program holds, with their licences: what most licences ask of whoever passes a binary on.

Prints text: a list of the crates, then each licence's text once with the crates that it is of. Reads what `cargo metadata` says
and the files in the crates' sources.
"""

import collections
import json
import pathlib
import subprocess
import sys

NAMES = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE")


def crates():
    """The crates that are linked in: no tests' tools, no build scripts' ones."""
    target = next(line.split()[1] for line in said(["rustc", "-vV"]).splitlines() if line.startswith("host:"))
    metadata = json.loads(said(["cargo", "metadata", "--format-version=1", "--locked", "--filter-platform", target]))
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    linked, waiting = set(), [root]
    while waiting:
        node = nodes[waiting.pop()]
        for dependency in node["deps"]:
            is_linked = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if is_linked and dependency["pkg"] not in linked:
                linked.add(dependency["pkg"])
                waiting.append(dependency["pkg"])
    packages = [package for package in metadata["packages"] if package["id"] in linked]
    return sorted(packages, key=lambda it: (it["name"], it["version"]))


def said(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def texts(package):
    folder = pathlib.Path(package["manifest_path"]).parent
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.name.upper().startswith(NAMES):
            yield file.read_text(errors="replace").strip()


def main():
    packages = crates()
    by_text = collections.defaultdict(list)
    print("Libraries in the program. The source of each is at https://crates.io/crates/NAME/VERSION.\n")
    for package in packages:
        name = f"{package['name']} {package['version']}"
        found = list(texts(package))
        note = "" if found else "  (has no file with its licence's text)"
        print(f"{name}: {package['license'] or 'see its file'}{note}")
        for text in found:
            by_text[text].append(name)
    for text, names in by_text.items():
        print(f"\n{'=' * 100}\n{', '.join(names)}\n{'=' * 100}\n\n{text}")
    if len(packages) < 100:
        sys.exit("fewer libraries than there can be: does `cargo metadata` say something else now?")


main()
