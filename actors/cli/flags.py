"""Flags that several commands share, and the settings that follow from them."""

import argparse
import os

from actors.config import PlatformSettings, load_settings


def home_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--home", metavar="DIR", help="the home folder (WATCHKEEPER_HOME, ~/.watchkeeper)")


def platform_flags(parser: argparse.ArgumentParser) -> None:
    """Every setting of the platform that is no secret; secrets come from the environment or the file."""
    home_flag(parser)
    parser.add_argument("--database-url", metavar="URL", help="PostgreSQL instead of the embedded one")
    parser.add_argument("--http", metavar="ADDR", help="REST, dashboard and UI link (127.0.0.1:8700)")
    parser.add_argument("--engines", metavar="ADDR", help="engine links (127.0.0.1:8701)")
    parser.add_argument("--emergency", metavar="ADDR", help="emergency page (127.0.0.1:8702), or off")
    parser.add_argument("--keys", metavar="FILE", help="the key ring file")


def settings_of(args: argparse.Namespace) -> PlatformSettings:
    """The effective settings. Raises Refused."""
    names = ("home", "database_url", "http", "engines", "emergency", "keys")
    return load_settings({name: getattr(args, name, None) for name in names}, os.environ)


def remote_flags(parser: argparse.ArgumentParser) -> None:
    """For commands that talk to a running platform."""
    home_flag(parser)
    parser.add_argument("--url", help="the platform's address (from WATCHKEEPER_HTTP)")
    parser.add_argument("--user", help="who you are (WATCHKEEPER_USER, admin)")
