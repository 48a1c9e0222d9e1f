#!/usr/bin/python3
"""Counts test cases. Prints "PASSED FAILED", and what failed on stderr.

usage: count_results.py meson LOG.json     meson's testlog: a cmocka program counts as its cases, others as one
       count_results.py tap LOG            node --test --test-reporter=tap
"""
import json
import re
import sys


def meson(text):
    passed = failed = 0
    for line in text.splitlines():
        if not line.strip():
            continue
        test = json.loads(line)
        if test["result"] == "SKIP":
            continue
        good = test["result"] in ("OK", "EXPECTEDFAIL")
        output = (test.get("stdout") or "") + (test.get("stderr") or "")
        cases_good = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test\(s\)", output))
        cases_bad = sum(int(n) for n in re.findall(r"\[  FAILED  \] [^\n]*?(\d+) test\(s\), listed below", output))
        if good:
            passed += max(cases_good, 1)
            continue
        passed += cases_good
        failed += max(cases_bad, 1)
        tail = "\n    ".join(output.strip().splitlines()[-40:])
        print(f"FAILED {test['name']} ({test['result']})\n    {tail}", file=sys.stderr)
    return passed, failed


def tap(text):
    passed = sum(int(n) for n in re.findall(r"^# pass (\d+)", text, re.MULTILINE))
    failed = sum(int(n) for n in re.findall(r"^# (?:fail|cancelled) (\d+)", text, re.MULTILINE))
    if passed + failed == 0:
        failed = 1  # it never came to its summary
    for name in re.findall(r"^\s*not ok \d+ - (.*)$", text, re.MULTILINE):
        print(f"FAILED {name}", file=sys.stderr)
    return passed, failed


def main():
    with open(sys.argv[2], encoding="utf-8", errors="replace") as f:
        text = f.read()
    print(*{"meson": meson, "tap": tap}[sys.argv[1]](text))


if __name__ == "__main__":
    main()
