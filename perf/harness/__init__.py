"""The whole-server comparison: perf/compare is its entry, docs/notes/0012 argues its shape."""
