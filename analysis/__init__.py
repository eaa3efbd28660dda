"""Comparison reports: MLflow runs in, tables, figures and one HTML page out.

`data` reads a study into DataFrames, `statistics` holds pure functions on arrays, `findings` reduces
the runs of an arm to one row and says what came out, `figures` draws, `report` writes.
"""
