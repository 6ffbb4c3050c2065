"""Bundled tables: the schema, the data sets, and the scripts that write them; read through `contagion.datasets`."""
