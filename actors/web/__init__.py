"""The web face of the platform: REST, the UI link and the dashboard's files."""
