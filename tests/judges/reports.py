"""Lets tools that nobody here wrote read our exports.

usage: reports.py FOLDER...     each with report.json, junit.xml and chaostoolkit.json of one run

jsonschema has to find the record as the published schema says, and nothing in it of which the schema does not
speak; junitparser reads the JUnit file; chaostoolkit-lib has to find the experiment in the journal valid, and
chaostoolkit-reporting has to write a report from the journal. Prints one line a folder, and ends with 1 and
the reason at the first that is not accepted.
"""

import copy
import json
import pathlib
import sys

import chaosreport
from chaoslib.experiment import ensure_experiment_is_valid
from jsonschema import Draft202012Validator
from junitparser import JUnitXml

SCHEMA = json.loads((pathlib.Path(__file__).parents[2] / "policies/report-schema.json").read_text())


def closed(schema):
    """The same schema, without room for fields that it does not name.

    Variants that share an object with fields of its own are closed by that object, which sees the fields of both.
    """
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    has_fields = schema.get("type") == "object" and "properties" in schema
    parts = {
        key: part if has_fields and key == "oneOf" else closed(part) for key, part in schema.items()
    }
    if has_fields:
        parts.setdefault("unevaluatedProperties", False)
    return parts


def judge_record(folder):
    record = json.loads((folder / "report.json").read_text())
    validator = Draft202012Validator(closed(SCHEMA))
    wrong = sorted(validator.iter_errors(record), key=lambda e: list(e.absolute_path))
    assert not wrong, f"report.json: {wrong[0].json_path}: {wrong[0].message[:300]}"
    # A schema that lets everything through would have let these through, too.
    short = {key: value[:2] if isinstance(value, list) else value for key, value in record.items()}
    for field in ("run", "plan", "samples"):
        less = {key: value for key, value in short.items() if key != field}
        assert not Draft202012Validator(SCHEMA).is_valid(less), f"a record without {field} is let through"


def judge(folder):
    judge_record(folder)
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


Draft202012Validator.check_schema(SCHEMA)
for name in sys.argv[1:]:
    try:
        judge(pathlib.Path(name))
    except Exception as error:
        print(f"{name}: not accepted: {error!r}")
        sys.exit(1)
