"""The service of the platform that keeps the daemon running: a systemd user unit, or a launchd agent."""
