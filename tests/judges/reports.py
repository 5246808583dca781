"""Lets tools that nobody here wrote read our exports.

usage: reports.py FOLDER...     each with junit.xml and chaostoolkit.json of one run

junitparser reads the JUnit file; chaostoolkit-lib has to find the experiment in the journal valid, and
chaostoolkit-reporting has to write a report from the journal. Prints one line a folder, and ends with 1 and
the reason at the first that is not accepted.
"""

import copy
import json
import pathlib
import sys

import chaosreport
from chaoslib.experiment import ensure_experiment_is_valid
from junitparser import JUnitXml


def judge(folder):
    suites = list(JUnitXml.fromfile(str(folder / "junit.xml")))
    assert len(suites) == 1, f"{len(suites)} suites"
    suite = suites[0]
    cases = len(list(suite))
    assert suite.tests == cases > 0, f"{suite.tests} tests counted, {cases} there"
    journal = json.loads((folder / "chaostoolkit.json").read_text())
    ensure_experiment_is_valid(copy.deepcopy(journal["experiment"]))
    page = chaosreport.generate_report(copy.deepcopy(journal))
    assert journal["experiment"]["title"] in page, "the report does not name the experiment"
    for step in journal["run"]:
        assert step["activity"]["name"] in page, f"the report lacks {step['activity']['name']!r}"
    print(
        f"{folder.name}: {suite.tests} tests, {suite.failures} failures, {suite.errors} errors, {suite.skipped} skipped;"
        f" journal {journal['status']}, deviated {journal['deviated']}"
    )


for name in sys.argv[1:]:
    try:
        judge(pathlib.Path(name))
    except Exception as error:
        print(f"{name}: not accepted: {error!r}")
        sys.exit(1)
