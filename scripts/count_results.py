#!/usr/bin/python3
"""Counts test cases. Prints "PASSED FAILED", and what failed on stderr.

usage: count_results.py meson LOG.json     meson's testlog: a cmocka program counts as its cases, others as one
       count_results.py tap LOG            node --test --test-reporter=tap
       count_results.py junit REPORT.xml   pytest --junitxml
"""
import json
import re
import sys
import xml.etree.ElementTree


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


def junit(text):
    try:
        cases = list(xml.etree.ElementTree.fromstring(text).iter("testcase"))
    except xml.etree.ElementTree.ParseError:
        cases = []
    passed, failed = set(), set()
    for case in cases:
        # what fails after a case has passed is an entry of its own under the same name
        name = f"{case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            failed.add(name)
        elif case.find("skipped") is None:
            passed.add(name)
    for name in sorted(failed):
        print(f"FAILED {name}", file=sys.stderr)
    return len(passed - failed), len(failed) or int(not cases)


def main():
    try:
        with open(sys.argv[2], encoding="utf-8", errors="replace") as f:
            text = f.read()
    except FileNotFoundError:
        text = ""  # it never came to its report
    print(*{"meson": meson, "tap": tap, "junit": junit}[sys.argv[1]](text))


if __name__ == "__main__":
    main()
