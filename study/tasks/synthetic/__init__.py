"""Tasks whose sequences are drawn: each states its source, its chance level and its criterion.

A file dropped here with a class of its own is a new task.
"""
