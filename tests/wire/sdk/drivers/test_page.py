"""The page's advice on testing an engine is followed to the letter."""

import re
from pathlib import Path

from wire.stops import Level

PAGE = Path(__file__).resolve().parents[4] / "docs" / "sdk.md"


def test_the_practice_platform_of_the_page(engine, account, tmp_path):
    (code,) = re.findall(r"```python\n(from wire.sdk.testing.*?)```", PAGE.read_text(), re.DOTALL)
    account.positions["005930"] = 3
    engines = []
    names = {
        "folder": tmp_path,
        "start_my_engine": lambda credential: engines.append(engine(credential=credential, folder="other")),
    }
    exec(compile(code, str(PAGE), "exec"), names)
    assert account.positions == {"005930": 0}
    assert {f.level for f in account.frozen} == {Level.FLATTEN}  # a heartbeat may have told of it first
