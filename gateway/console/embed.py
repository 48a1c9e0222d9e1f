"""Turn files into a C array: embed.py <symbol> <output.c> <file>..."""

import hashlib
import pathlib
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".yaml": "application/yaml; charset=utf-8",
}


def main(symbol, output, *files):
    out = ['#include "console/console.h"', ""]
    rows = []
    for i, name in enumerate(files):
        path = pathlib.Path(name)
        data = path.read_bytes()
        out.append(f"static const unsigned char file{i}[] = {{")
        for at in range(0, len(data), 20):
            out.append("\t" + "".join(f"{b}," for b in data[at:at + 20]))
        out.append("};")
        etag = hashlib.sha256(data).hexdigest()[:20]
        rows.append(f'\t{{ "{path.name}", "{TYPES[path.suffix]}", "\\"{etag}\\"", file{i}, sizeof(file{i}) }},')
    out += [f"extern const struct mu_asset {symbol}[];", f"const struct mu_asset {symbol}[] = {{", *rows, "\t{ 0 },", "};", ""]
    pathlib.Path(output).write_text("\n".join(out))


main(*sys.argv[1:])
