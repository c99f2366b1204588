import json
import re
from pathlib import Path

import batch_emulator
from batch_emulator.errors import ERRORS, BatchError, error_body


def test_every_code_that_is_raised_is_in_the_table_and_every_row_is_used():
    root = Path(batch_emulator.__file__).parent
    source = "\n".join(path.read_text() for path in root.rglob("*.py") if path.name != "errors.py")
    source += (root / "errors.py").read_text().split("class BatchError")[1]
    raised = set(re.findall(r'BatchError\(\s*"(\w+)"', source))
    assert raised <= ERRORS.keys()
    assert {code for code in ERRORS if f'"{code}"' not in source} == set()


def test_an_error_is_written_as_the_service_writes_it():
    body = json.loads(error_body(BatchError("JobNotFound"), "http://h", "rid", "now"))
    assert body == {
        "odata.metadata": "http://h/$metadata#Microsoft.Azure.Batch.Protocol.Entities.Container.errors/@Element",
        "code": "JobNotFound",
        "message": {"lang": "en-US", "value": "The specified job does not exist.\nRequestId:rid\nTime:now"},
    }


def test_what_was_wrong_is_told_as_pairs():
    body = json.loads(error_body(BatchError("InvalidUri", ("Uri", "/x")), "u", "r", "t"))
    assert body["values"] == [{"key": "Uri", "value": "/x"}]
