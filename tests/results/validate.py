"""validate.py SCHEMA FILE...: a line per file, "fits" or why it does not. One process for many files.

In a result, each case's values on the axes must be among those that the result itself declares.
"""
import json
import sys

from jsonschema import Draft7Validator

with open(sys.argv[1]) as schema_file:
    schema = json.load(schema_file)
Draft7Validator.check_schema(schema)
validator = Draft7Validator(schema)


def verdict(document):
    error = next(validator.iter_errors(document), None)
    if error is not None:
        return f"/{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
    result = document.get("faultline", {})
    if "axes" not in result:
        return "fits"  # another kind of document, or a result that is older than the declaration
    axes = {axis["key"]: [one["value"] for one in axis.get("values", [])] for axis in result["axes"]}
    for i, case in enumerate(result.get("cases", [])):
        for key in case.keys() - schema["definitions"]["case"]["properties"].keys():
            values = axes.get(key)
            if values is None:
                return f"/faultline/cases/{i}: {key} is neither a key of the schema nor an axis of the result"
            if values and case[key] not in values:
                return f"/faultline/cases/{i}/{key}: {case[key]} is not a value that the result declares for this axis"
    return "fits"


for name in sys.argv[2:]:
    with open(name) as file:
        print(verdict(json.load(file)))
