"""make conformance CORPUS=DIR: every compose file below DIR, read by corral and by the real docker compose.

Exit code 1 where a difference is none of those that are named in tests/conformance/differences.py.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import os
import pathlib
import pickle
import sys
import tempfile
from collections.abc import Iterator

from specs import node
from specs.files import source
from tests.conformance import comparing, corpus, differences, mutations, oracle

ANSWERS = pathlib.Path(__file__).parents[2] / ".cache" / "conformance"
_MISSING = """conformance needs a folder of compose files: make conformance CORPUS=DIR
Every *.yaml and *.yml below DIR is compared with the real docker compose, and the cases of DIR/merge-cases.json, if it is there:
a list of {"test": NAME, "base": TEXT, "override": TEXT}. Good ones: the test data of compose-spec/compose-go and docker/compose,
compose-spec/conformance-tests, docker/awesome-compose."""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", nargs="?", default="")
    parser.add_argument("--only", default="", help="cases with this in their names")
    parser.add_argument("--spoil", type=int, default=0, help="in so many ways, of twenty, each accepted file too")
    options = parser.parse_args()
    folder = pathlib.Path(options.corpus).resolve()
    if not options.corpus or not folder.is_dir():
        print(_MISSING if not options.corpus else f"there is no folder {folder}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        cases = [case for case in corpus.cases(folder, pathlib.Path(scratch)) if options.only in case.name]
        answers = _answers(cases, folder)
        if options.spoil:
            spoilt = [*_spoilt(cases, answers, pathlib.Path(scratch), options.spoil)]
            answers |= _asked(spoilt)
            cases += spoilt
        found = {case: comparing.deviations(case, answers[case.name]) for case in cases}
        return _report(found)


def _spoilt(
    cases: list[comparing.Case], answers: dict[str, oracle.Answer], scratch: pathlib.Path, count: int
) -> Iterator[comparing.Case]:
    """Of each single file that the oracle accepts."""
    for case in cases:
        if len(case.files) == 1 and answers[case.name].model is not None:
            [first, *_] = source.documents((case.folder / case.files[0]).read_text(), case.name)
            yield from mutations.cases(node.plain(first), case.name, scratch / "spoilt", count)


def _answers(cases: list[comparing.Case], folder: pathlib.Path) -> dict[str, oracle.Answer]:
    """The oracle's, kept for the same corpus."""
    oracle.program()
    kept = ANSWERS / _digest(folder)
    answers: dict[str, oracle.Answer] = pickle.loads(kept.read_bytes()) if kept.exists() else {}
    missing = [case for case in cases if case.name not in answers]
    answers |= _asked(missing)
    if missing:
        ANSWERS.mkdir(parents=True, exist_ok=True)
        draft = kept.with_suffix(f".{os.getpid()}")
        draft.write_bytes(pickle.dumps(answers))
        draft.replace(kept)
    return answers


def _asked(cases: list[comparing.Case]) -> dict[str, oracle.Answer]:
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = pool.map(lambda case: oracle.ask(case.folder, case.files), cases)
        return {case.name: answer for case, answer in zip(cases, answers, strict=True)}


def _digest(folder: pathlib.Path) -> str:
    """Of every file below the folder: what one file means depends on those beside it."""
    digest = hashlib.sha256(str(folder).encode() + pathlib.Path(oracle.__file__).read_bytes())
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(file).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _report(found: dict[comparing.Case, list[comparing.Deviation]]) -> int:
    named: collections.Counter[str] = collections.Counter()
    open_ = 0
    for case in found:
        unnamed = []
        for deviation in found[case]:
            difference = differences.covering(deviation)
            if difference is None:
                unnamed.append(deviation)
            else:
                named[difference.name] += 1
        for deviation in unnamed:
            print(deviation)
        open_ += bool(unnamed)
    agreeing = sum(not deviations for deviations in found.values())
    print(f"{len(found)} projects: {agreeing} agree, {len(found) - agreeing - open_} differ as named, {open_} differ")
    for name, count in named.most_common():
        print(f"    {count:4} {name}")
    return 1 if open_ else 0


if __name__ == "__main__":
    sys.exit(main())
