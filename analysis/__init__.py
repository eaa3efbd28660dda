"""Comparison reports: MLflow runs in, tables, figures and one HTML page out.

``runs`` reads a study into DataFrames, ``statistics`` holds pure functions on arrays, ``summary``
reduces the runs of an arm to one row, ``figures`` draws, ``report`` writes.
"""
