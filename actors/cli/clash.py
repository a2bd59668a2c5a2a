"""The unrelated distribution that is also called ``supervisor`` and overwrites our package of that name."""

from importlib.metadata import packages_distributions

from actors.errors import Refused

OURS = "watchkeeper"


def clashing() -> str | None:
    """The name of a foreign distribution that owns the import name ``supervisor`` too, if there is one."""
    owners = set(packages_distributions().get("supervisor", [])) - {OURS}
    return min(owners, default=None)


def refuse_clash() -> None:
    """Raises Refused with what to do."""
    if (name := clashing()) is not None:
        raise Refused(
            f"the distribution {name!r} is installed in the same environment and overwrites the package supervisor: "
            f"install watchkeeper in an environment of its own, or pip uninstall {name} and reinstall watchkeeper"
        )
