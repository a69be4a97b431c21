"""covet-tune: system settings as a table, applied with a journal."""
