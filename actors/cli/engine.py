"""``watchkeeper engine --config FILE``: a reference engine; its own program reads the arguments."""

from actors.engine.__main__ import main


def run(arguments: list[str]) -> int:
    return main(arguments)
