"""Models on labelled faces, in one call each: predict, compare, calibrate, stress, explain.

These stand above all that they use: runs, chip stores, networks. What they find is measured and
put on pages by `agelens.evaluation`, from where they are imported::

    from agelens.evaluation import compare, calibrate, stress, explain
"""
