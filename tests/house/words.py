#!/usr/bin/python3
"""Words that have no place in the tree: unfinished work, paths of somebody's machine, registry addresses.

usage: words.py SOURCE_ROOT
"""
import os
import re
import subprocess
import sys

# Written in pieces, so that this file does not find itself.
WORDS = [
    (r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b", "unfinished: do it, or file it as an issue"),
    (r"(?<![\w.$}~-])/(wo" r"rk|ro" r"ot|ho" r"me)/[\w.-]+", "a path of one machine"),
    (r"registry\.npm" r"js\.org|\"resol" r"ved\":", "a registry's address (npm: omit-lockfile-registry-resolved=true)"),
    (r"^<<<<" r"<<< |^>>>>" r">>> ", "a merge left open"),
]
SKIP = re.compile(r"^LICENSE$|^tests/fuzz/corpus/|\.(png|ico|woff2?|bin|pcap|jpg|webp)$")


def tree(root):
    try:
        out = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             capture_output=True, check=True).stdout
        return [p for p in out.decode().split("\0") if p]
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive
        found = []
        for folder, folders, files in os.walk(root):
            folders[:] = [f for f in folders if f not in (".git", "node_modules", "run") and not f.startswith("build")]
            found += [os.path.relpath(os.path.join(folder, f), root) for f in files]
        return found


def main():
    root = sys.argv[1]
    rules = [(re.compile(p, re.MULTILINE), why) for p, why in WORDS]
    n, wrong = 0, 0
    for path in sorted(tree(root)):
        if SKIP.search(path) or not os.path.isfile(os.path.join(root, path)):
            continue
        with open(os.path.join(root, path), "rb") as f:
            text = f.read().decode("utf-8", "replace")
        n += 1
        for rule, why in rules:
            for m in rule.finditer(text):
                wrong += 1
                print(f"{path}:{text.count(chr(10), 0, m.start()) + 1}: {m.group(0).strip()}: {why}")
    print(f"{n} files, {wrong} findings")
    return 1 if wrong or n == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
