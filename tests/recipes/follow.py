#!/usr/bin/env python3
"""Follows the recipes of CONTRIBUTING.md literally in a copy of the tree, builds it, runs its short tests, and looks for
what the recipes add in list, tests, checker, simulation and report.

    follow.py TREE SCRATCH [TENTH]

TENTH, 0 to 9, chooses a tenth of the short tests; without it all run. SCRATCH is made, or brought up to date: what has not
changed is not built again. CXX names the compiler. A recipe has the forms "File `PATH`:" and "Line in `PATH`, after `TEXT`:",
each followed by one fenced block. The script builds the checker only over the mutants of tests/mutants/: without
--semantic it explores what the plain one explores.
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

BLOCK = re.compile(r"^(?:File `(?P<file>[^`]+)`|Line in `(?P<list>[^`]+)`, after `(?P<after>[^`]+)`):\n\n"
                   r"```\w+\n(?P<text>.*?)^```$", re.M | re.S)
# What the recipes add to the list of which test.
LOOKED_AT = {"mutex_test": "test_and_set", "vmas_test": ".*LinkedList", "schemes_test": "exclusive_unmap",
             "workloads_test": ".*refault", "sim_machine_test": ".*slow"}
IGNORED = re.compile(r"^(build.*|\.git|results/runs|plots/node_modules|.*__pycache__)$")


def files_of(tree):
    for folder, folders, names in os.walk(tree):
        inside = pathlib.Path(folder).relative_to(tree)
        folders[:] = [f for f in folders if not IGNORED.match(str(inside / f))]
        yield from (str(inside / name) for name in names)


def recipes(tree):
    """{path: text} of all files that the recipes make or change."""
    contributing = (tree / "CONTRIBUTING.md").read_text()
    loose = re.findall(r"^(?:File|Line in) `.*$", contributing, re.M)
    blocks = list(BLOCK.finditer(contributing))
    if len(blocks) != len(loose):
        sys.exit(f"CONTRIBUTING.md: {len(loose)} steps, of which {len(blocks)} have the form that the recipes promise")
    texts = {}
    for block in blocks:
        if block["file"]:
            if (tree / block["file"]).exists():
                sys.exit(f"CONTRIBUTING.md: {block['file']} is there already, expected a new file")
            texts[block["file"]] = block["text"]
            continue
        path = block["list"]
        before, found, rest = texts.get(path, (tree / path).read_text()).partition(block["after"])
        if not found:
            sys.exit(f"CONTRIBUTING.md: {path} has no line with {block['after']!r}")
        line_end, _, below = rest.partition("\n")
        texts[path] = f"{before}{found}{line_end}\n{block['text']}{below}"
    return texts


def bring_up_to_date(tree, scratch):
    texts = recipes(tree)
    wanted = set(texts)
    for name in files_of(tree):
        wanted.add(name)
        texts.setdefault(name, None)
    for name, text in texts.items():
        to = scratch / name
        data = (tree / name).read_bytes() if text is None else text.encode()
        if to.exists() and to.read_bytes() == data:
            continue
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(data)
        if text is None:
            shutil.copymode(tree / name, to)
    for name in list(files_of(scratch)):
        if name not in wanted:
            (scratch / name).unlink()
    modules = scratch / "plots/node_modules"
    if not modules.exists() and (tree / "plots/node_modules").exists():
        shutil.copytree(tree / "plots/node_modules", modules, symlinks=True)


def run(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


def build(scratch, short_tests):
    folder = scratch / "build"
    if not (folder / "build.ninja").exists():
        # -O0 builds fastest, and speed is not at stake. gold, which comes with binutils, links three times as fast as ld.
        run(["cmake", "-S", scratch, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0",
             "-DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=gold",
             "-DFAULTLINE_PATENTED=" + os.environ.get("FAULTLINE_PATENTED", "OFF")])
    print("builds the copy", flush=True)
    run(["cmake", "--build", folder, "--target", "faultline", "faultline-check-mutated", short_tests, *LOOKED_AT])
    print("runs its short tests", flush=True)
    run(["ctest", "--test-dir", folder, "--output-on-failure", "--parallel", str(min(os.cpu_count(), 4)), "-LE", "long",
         "-E", "_NOT_BUILT"])
    return folder


def expect(place, text, *names):
    for name in names:
        if not re.search(rf"(?<!\w){name}(?!\w)", text):
            sys.exit(f"{place}: expected {name} in it\n{text[-4000:]}")
    print(f"{place}: {', '.join(names)}")


def check(checker, name):
    """The output of the check of `name`, which is stopped as by Ctrl-C: unoptimized, a whole one takes minutes."""
    with subprocess.Popen([checker, name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        try:
            output, _ = running.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGINT)
            output, _ = running.communicate(timeout=60)
    if running.returncode not in (0, -signal.SIGINT):
        sys.exit(f"check {name}: exit code {running.returncode}\n{output[-4000:]}")
    return output.partition("stopped;")[0]  # behind it are names of which nothing has run


def look(scratch, folder):
    program = folder / "faultline"
    expect("list", run([program, "list"]), "test_and_set", "linked_list", "exclusive_unmap", "refault", "slow")
    for test, name in LOOKED_AT.items():
        expect(test, run([folder / "tests" / test, "--gtest_list_tests"]), name)
    for name in ["test_and_set", "exclusive_unmap", "mmap_sem:vmas=linked_list"]:
        expect(f"check {name}", check(folder / "faultline-check-mutated", name), name)
    sim = ["sim", "--machine", "slow", "--cpus", "1,2", "--seeds", "1", "--duration", "100us", "--warmup", "10us",
           "--latency-repetitions", "0", "--no-ceiling"]
    spaces = scratch / "build/spaces.json"
    locks = scratch / "build/locks.json"
    run([program, *sim, "--workload", "refault", "--scheme", "mmap_sem:vmas=linked_list,exclusive_unmap", "--out", spaces])
    run([program, *sim, "--workload", "lock_loop", "--scheme", "test_and_set", "--out", locks])
    page = scratch / "build/report.html"
    run([program, "report", spaces, locks, "-o", page])
    expect("report", page.read_text(), "test_and_set", "linked_list", "exclusive_unmap", "refault", "slow")


def main():
    tree, scratch = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    bring_up_to_date(tree, scratch)
    look(scratch, build(scratch, "_".join(["short_tests", *sys.argv[3:]])))


main()
