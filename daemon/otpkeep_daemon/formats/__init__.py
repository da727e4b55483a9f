"""Import and export formats: bytes in and accounts out, and back; one module a format, one registry."""
