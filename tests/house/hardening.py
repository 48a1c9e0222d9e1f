#!/usr/bin/python3
"""What the compiler and the linker were asked for is in the programs that are shipped.

usage: hardening.py PROGRAM...      programs that are not built are skipped; none at all: exit 77 (meson: skipped)
"""
import os
import re
import subprocess
import sys


ALL_GOOD = "PIE, RELRO, BIND_NOW, no executable stack, protector, fortified, CET, stack probes"


def readelf(option, path):
    return subprocess.run(["readelf", "-W", option, path], capture_output=True, text=True, check=True).stdout


def code_weaknesses(path):
    """What only the instructions show. Debian's own start files have no CET note, so no program that it links has one: whether
    our functions may be jumped to (endbr64) is looked at instead. A frame past a page is probed page by page (stack clash)."""
    code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True).stdout
    main = re.search(r"<main>:\n\s*[0-9a-f]+:\s+(\S+)", code)
    if not main or main.group(1) != "endbr64":
        yield "no control-flow protection (-fcf-protection)"
    if not re.search(r"\b(?:or|mov)[lq]?\s+\$0x0,\(%rsp\)", code):
        yield "no probes of the stack (-fstack-clash-protection)"


def weaknesses(path):
    header, segments, dynamic = readelf("-h", path), readelf("-l", path), readelf("-d", path)
    symbols = readelf("--dyn-syms", path)
    if not re.search(r"Type:\s+DYN", header) or not re.search(r"FLAGS_1\).*\bPIE\b", dynamic):
        yield "not position independent (PIE)"
    if "GNU_RELRO" not in segments:
        yield "no RELRO segment"
    if not re.search(r"\(FLAGS\).*BIND_NOW|\(FLAGS_1\).*\bNOW\b|\(BIND_NOW\)", dynamic):
        yield "lazy binding (no BIND_NOW)"
    stack = re.search(r"GNU_STACK\s+\S+\s+\S+\s+\S+\s+\S+\s+\S+\s+(\S+)", segments)
    if not stack or "E" in stack.group(1):
        yield "executable stack"
    if "__stack_chk_fail" not in symbols:
        yield "no stack protector"
    if not re.search(r"__\w+_chk@", symbols):
        yield "no fortified calls (_FORTIFY_SOURCE)"
    if "X86-64" in header:
        yield from code_weaknesses(path)
    if re.search(r"\((RPATH|RUNPATH)\)", dynamic) and "muster" not in os.path.basename(os.path.dirname(path)):
        for m in re.finditer(r"\((?:RPATH|RUNPATH)\).*\[(.*)\]", dynamic):
            if any(not p.startswith("$ORIGIN") for p in m.group(1).split(":")):
                yield f"searches libraries in {m.group(1)}"


def main():
    built = [p for p in sys.argv[1:] if os.path.exists(p)]
    if not built:
        print("nothing built")
        return 77
    failed = 0
    for path in built:
        weak = list(weaknesses(path))
        failed += bool(weak)
        print(f"{os.path.basename(path)}: {', '.join(weak) or ALL_GOOD}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
