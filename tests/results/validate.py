"""validate.py SCHEMA FILE...: a line per file, "fits" or why it does not. One process for many files."""
import json
import sys

from jsonschema import Draft7Validator

with open(sys.argv[1]) as schema_file:
    schema = json.load(schema_file)
Draft7Validator.check_schema(schema)
validator = Draft7Validator(schema)
for name in sys.argv[2:]:
    with open(name) as file:
        error = next(validator.iter_errors(json.load(file)), None)
    print("fits" if error is None else f"/{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}")
