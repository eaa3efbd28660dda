"""Tasks whose sequences are measured or written by people, and how their files are read.

A file dropped here with a class of its own is a new task.
"""
