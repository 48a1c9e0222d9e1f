#!/usr/bin/python3
"""The house's rule: a lower module never includes a higher one, and only a module's public header leaves its folder.

usage: layers.py SOURCE_ROOT
"""
import os
import re
import sys

ORDER = ["base", "net", "ice", "secure", "rtp", "adapt", "relay", "transport", "directory", "conference", "webrtc", "console", "api", "daemon",
         "ctl"]
# The media side knows no GLib main loop, no HTTP and no JSON, with these exceptions and their reasons.
FOREIGN = re.compile(r"^(glib|gio|gobject|libsoup|jansson|gst)\b|^(glib|gio|libsoup|gst)/")
MEDIA_SIDE = ORDER[:ORDER.index("relay") + 1]
FOREIGN_ALLOWED = {
    "gateway/base/log.c": "writes log lines as JSON",
    "gateway/secure/token.c": "a JWT is JSON",
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def sources(root):
    for top in ("gateway", "plugins", "include", "tests"):
        for folder, _, files in os.walk(os.path.join(root, top)):
            for name in sorted(files):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def includes(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            m = INCLUDE.match(line)
            if m:
                yield number, m.group(1) == "<", m.group(2)


def may_see_private(path, module):
    """Tests of one module, fuzz targets of its parsers, flow tests and measurements may look inside it."""
    parts = path.split("/")
    if parts[0] != "tests":
        return False
    return parts[1] == "fuzz" or parts[1:3] == ["unit", module] or parts[1] in ("flow", "bench")


def check_file(root, path):
    parts = path.split("/")
    own = parts[1] if parts[0] == "gateway" else None
    if own and own not in ORDER:
        yield f"{path}: module {own} has no place in the order: add it to tests/house/layers.py and docs/architecture.md"
        return
    for number, system, target in includes(root, path):
        where = f"{path}:{number}"
        if system:
            if own in MEDIA_SIDE and FOREIGN.match(target) and path not in FOREIGN_ALLOWED:
                yield f"{where}: <{target}> does not belong below the control side"
            continue
        module, _, header = target.partition("/")
        if not header or module not in ORDER:
            continue
        if own and ORDER.index(module) > ORDER.index(own):
            yield f"{where}: {own} includes {module}, which is above it"
        if own != module and header != module + ".h" and not may_see_private(path, module):
            yield f"{where}: {target} is private to {module}"


def main():
    root = sys.argv[1]
    n, wrong = 0, []
    for path in sources(root):
        n += 1
        wrong += check_file(root, path)
    for path in FOREIGN_ALLOWED:
        if not os.path.exists(os.path.join(root, path)) and os.path.isdir(os.path.join(root, os.path.dirname(path))):
            print(f"note: {path} has an exception but is not there")
    print("\n".join(wrong))
    print(f"{n} files, {len(wrong)} includes that should not be")
    return 1 if wrong or n == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
