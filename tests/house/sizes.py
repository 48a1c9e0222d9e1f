#!/usr/bin/python3
"""Information, no verdict: the longest files and functions, where a seam may be due.

usage: sizes.py SOURCE_ROOT
"""
import json
import os
import shutil
import subprocess
import sys

TOP = 12


def c_files(root):
    for top in ("gateway", "plugins", "tests"):
        for folder, _, files in os.walk(os.path.join(root, top)):
            for name in files:
                if name.endswith((".c", ".h")):
                    yield os.path.join(folder, name)


def functions(paths):
    """[(lines, name, path)], empty without universal-ctags."""
    ctags = shutil.which("ctags-universal") or shutil.which("ctags")
    if not ctags or not paths:
        return []
    run = subprocess.run([ctags, "--output-format=json", "--fields=+ne", "--c-kinds=f", "-L", "-", "-f", "-"],
                         input="\n".join(paths), capture_output=True, text=True, check=False)
    found = []
    for line in run.stdout.splitlines():
        tag = json.loads(line)
        if "end" in tag:
            found.append((tag["end"] - tag["line"] + 1, tag["name"], tag["path"]))
    return found


def report(title, rows, root):
    if not rows:
        return
    rows.sort(key=lambda r: r[0], reverse=True)
    lengths = [r[0] for r in rows]
    print(f"{title}: {len(rows)}, half at most {lengths[len(lengths) // 2]} lines, "
          f"nine in ten at most {lengths[len(lengths) // 10]}")
    for lines, name, path in rows[:TOP]:
        print(f"  {lines:5}  {name + '  ' if name else ''}{os.path.relpath(path, root)}")


def main():
    root = sys.argv[1]
    paths = sorted(c_files(root))
    files = []
    for path in paths:
        with open(path, encoding="utf-8") as f:
            files.append((sum(1 for _ in f), "", path))
    report("files", files, root)
    report("functions", functions(paths), root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
