"""What can go wrong in the store.

A caller's mistake (``Refused`` and below) and the world's failure (``Unavailable``) are different classes. No message
here repeats a driver's text, a statement or a value: asyncpg puts argument values into its messages, and those may be
secrets.
"""


class StoreError(Exception):
    """Base of everything the store raises on purpose."""


class Unavailable(StoreError):
    """The database cannot be asked now: away, starting, full of work or frozen. Worth trying again later.

    Not knowing is part of it: a unit of work that ends so may have been committed.
    """


class Refused(StoreError):
    """The database answered, and the answer is no. Trying the same again gives the same answer."""


class Conflict(Refused):
    """Something of that identity is there already. ``constraint`` is the name of the rule in the schema."""

    def __init__(self, constraint: str | None) -> None:
        self.constraint = constraint
        super().__init__(f"conflicts with what is stored ({constraint or 'unnamed rule'})")


class BadValue(Refused):
    """A value the database cannot hold: type, range, text with NUL, or a rule of the schema."""


class StaleTerm(Refused):
    """Another platform has started on this database since: this one may write no epoch any more."""


class StaleVersion(Refused):
    """Compare-and-set failed. ``current`` is the version that is stored."""

    def __init__(self, current: int) -> None:
        self.current = current
        super().__init__(f"the stored version is {current}")


class NotDurable(StoreError):
    """The database is set up so that an acknowledged commit can be lost."""


class EmbeddedError(StoreError):
    """The embedded PostgreSQL cannot run. The message is one line that says what to do."""


class MigrationError(StoreError):
    """The schema and this program do not fit together, and nothing was changed."""


class KeysError(StoreError):
    """The key ring file is missing, unreadable or not a key ring. The message is one line that says what to do."""


class Sealed(StoreError):
    """A sealed value that cannot be opened: altered, of another place, or no sealed value at all."""


class UnknownKey(Sealed):
    """The key a value was sealed with is not in the ring."""


class JournalError(StoreError):
    """The stop journal cannot be begun at that place."""
