"""Arrays in, arrays or NamedTuples out; import from the modules."""
