"""A city, a run, its figures, a report: the shortest way through the twin."""

import mndt

city = mndt.helsinki()
run = mndt.run(city, policy="proportional-fair", minutes=1, out="first-run", force=True)
print(f"{run.summary['X.ThroughputDl'] / 1e6:.0f} Mbit/s, {run.summary['X.OutageRatio']:.1%} in outage")
print(mndt.write_report([run], "first-run.html"))
