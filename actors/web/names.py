"""Names that several parts of the web face share."""

COOKIE = "watchkeeper_refresh"
"""The refresh cookie; under TLS it is called ``__Host-`` and this."""
