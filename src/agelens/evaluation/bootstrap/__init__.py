"""Bootstrap: how sure a number is, when photos of one person are no independent evidence.

People are drawn with replacement, as many as there are, and all photos of a person come
along (Field and Welsh, JRSS B 2007: the cluster bootstrap). A draw is a weight for each
person; every metric is computed anew under it, without copying a row:

    everybody = Grouping.everybody(len(frame))
    measured = GroupedMetrics({"mae": METRICS["mae"]}, columns, people, [everybody])
    draws = bootstrap(measured, draws=1000, seed=0)["everybody"]["mae"]
    low, high = percentile_interval(draws, 0.95)

All is exact: the weights are those of drawing, none is rounded, and a median is that of the
rows repeated as often as drawn.
"""
