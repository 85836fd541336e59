"""The quantities of NIST's FATE AEV report, on one's own labelled photos.

NIST's Face Analysis Technology Evaluation of age estimation and verification (IR 8525, 2024)
measures what vendors submit on photos that nobody else has. Here are the same quantities for
any predictions table, so that two estimators can be read side by side on the photos that
matter to the reader. They are no NIST results, and comparing them with NIST's compares photos as
much as estimators.
"""
