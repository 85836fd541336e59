"""Training: any method, any backbone, any dataset, one trainer (Lightning's).

Objects in, a run folder out; `agelens.training.configuration` makes the objects from a
configuration file, whose schema is their constructors.
"""
