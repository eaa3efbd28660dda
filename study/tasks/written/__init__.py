"""Tasks whose answer is a sequence that the network writes once it has read all.

A file dropped here with a class of its own is a new task.
"""
