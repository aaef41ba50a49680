#!/usr/bin/env python3
"""Writes copies of locks/ in which every mutant of tests/mutants/*.json is a choice at run time.

    tests/mutants/apply.py SOURCE OUT [--unpatented]

SOURCE is the source tree. OUT gets a copy of each header that has mutants, and mutants.cpp, the table of
harness/check/semantic/mutant.hpp. --unpatented leaves out patented.json, whose headers a build without
FAULTLINE_PATENTED does not compile. A mutant replaces the text `find`, in which each run of white space stands for any white
space and comments. The text occurs once in the file, or once in `within`, a text that occurs once in the file. If it ends
with ';', or with '}' and has a ';', it is a sequence of statements, else an expression. Lines keep their numbers. Mutants of one text are
alternatives. A mutant may lie within another one's text, and then exists only while the other one is not chosen.
Compilers give no warnings for the copies.
"""
import json
import pathlib
import re
import sys

COLUMNS = {"file": "", "name": "", "breaks": "", "equivalent": "", "left_to_tests": False}
GAP = r"(?:\s|//[^\n]*\n)+"


def pattern(text):
    return re.compile(GAP.join(re.escape(word) for word in text.split()))


def only_match(text, where, start, end, what):
    found = list(pattern(text).finditer(where, start, end))
    if len(found) != 1:
        sys.exit(f"{what}: '{text}' occurs {len(found)} times, expected once")
    return found[0].start(), found[0].end()


def place(mutant, source):
    what = f"mutant {mutant['file']}:{mutant['name']}"
    start, end = 0, len(source)
    if "within" in mutant:
        start, end = only_match(mutant["within"], source, start, end, f"{what}: within")
    mutant["start"], mutant["end"] = only_match(mutant["find"], source, start, end, f"{what}: find")


def choice(mutants, original):
    """The text in place of `original` where each of `mutants` has its own."""
    find = mutants[0]["find"]
    if find[-1] == ";" or (find[-1] == "}" and ";" in find):
        chain = "".join(f"if (::faultline::semantic::mutant_is({m['id']})) {{ {m['replace']} }} else " for m in mutants)
        return f"{{ {chain}{{ {original} }} }}"
    chain = "".join(f"::faultline::semantic::mutant_is({m['id']}) ? ({m['replace']}) : " for m in mutants)
    return f"({chain}({original}))"


def mutate(source, start, end, mutants):
    """source[start:end], in which `mutants`, sorted by their places, are choices."""
    text = ""
    while mutants:
        first = mutants[0]
        same = [m for m in mutants if (m["start"], m["end"]) == (first["start"], first["end"])]
        inner = [m for m in mutants if m["start"] < first["end"] and m not in same]
        for mutant in inner:
            if mutant["end"] > first["end"]:
                sys.exit(f"{first['file']}: mutants {first['name']} and {mutant['name']} overlap: make their texts the same")
        text += source[start : first["start"]]
        text += choice(same, mutate(source, first["start"], first["end"], inner))
        start = first["end"]
        mutants = [m for m in mutants if m["start"] >= start]
    return text + source[start:end]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def table(mutants):
    rows = "".join(
        "      {" + ", ".join(json.dumps(m.get(key, default)) for key, default in COLUMNS.items()) + "},\n"
        for m in mutants
    )
    return (
        '// Written by tests/mutants/apply.py.\n#include "harness/check/semantic/mutant.hpp"\n\n'
        "namespace faultline::semantic {\n\nconst std::vector<Mutant>& mutants() {\n"
        f"  static const std::vector<Mutant> all = {{\n{rows}  }};\n  return all;\n}}\n\n}}  // namespace faultline::semantic\n"
    )


def main():
    tree, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    mutants = []
    for path in sorted((tree / "tests/mutants").glob("*.json")):
        if "--unpatented" in sys.argv[3:] and path.name == "patented.json":
            continue
        mutants += json.loads(path.read_text())
    names = [(m["file"], m["name"]) for m in mutants]
    for name in names:
        if names.count(name) > 1:
            sys.exit(f"mutant {':'.join(name)}: this name occurs twice")
    for number, mutant in enumerate(mutants, 1):
        mutant["id"] = number
    for file in sorted({m["file"] for m in mutants}):
        source = (tree / file).read_text()
        own = [m for m in mutants if m["file"] == file]
        for mutant in own:
            place(mutant, source)
        own.sort(key=lambda m: (m["start"], -m["end"]))
        silent = "#pragma once\n#pragma GCC system_header\n"
        copy = mutate(source, 0, len(source), own).replace("#pragma once\n\n", silent, 1)
        write(out / file, copy)
    write(out / "mutants.cpp", table(mutants))


main()
