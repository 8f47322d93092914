"""One second of the compact study in plain Python: slow, and written to be compared with."""

from __future__ import annotations

import math

import numpy as np

from mndt.radio.pathloss import umi_los_db


def umi_snr(place_m, cell_m, *, power_dbm=30.0, bandwidth_hz=9e6, carrier_ghz=2.5):
    """Signal over noise of a link, straight from TR 38.901's formula, stations at 10 m and users at 1.5 m."""
    ground_m = math.dist(place_m, cell_m)
    loss_db = float(umi_los_db(ground_m, math.hypot(ground_m, 8.5), carrier_ghz, 10.0, 1.5))
    return 10 ** ((power_dbm - loss_db + 174.0 - 9.0) / 10) / bandwidth_hz


class ByHand:
    """Follows a study: places come from outside, everything else is worked out here."""

    def __init__(self, cells_m, *, mode, share, interference, broadcast, least_snr=1.0, snr=umi_snr):
        self.cells_m, self.mode, self.share = cells_m, mode, share
        self.interference, self.broadcast, self.least, self.snr_of = interference, broadcast, least_snr, snr
        self.cells = range(len(cells_m))

    def start(self, places_m, present):
        self.users = range(len(places_m))
        self.links = [set() for _ in self.users]
        self.utility = [-1.0 for _ in self.users]
        self.look(places_m, present)

    def look(self, places_m, present):
        """Users stand elsewhere now; the absent hold nothing, and who has just come is not judged yet."""
        for u in self.users:
            if not present[u] or not getattr(self, "present", present)[u]:
                self.links[u], self.utility[u] = set(), -1.0
        self.present = list(present)
        self.snr = [[self.snr_of(place, cell) for cell in self.cells_m] for place in places_m]

    def busy(self):
        return {c for links in self.links for c in links}

    def quality(self, u, c):
        others = sum(self.snr[u][b] for b in self.busy() if b != c) if self.interference else 0.0
        return self.snr[u][c] / (1.0 + others)

    def step(self, action):
        """Reward of the second, after everyone connected as wished."""
        for u in self.users:
            if not self.present[u]:
                continue
            reach = {c for c in self.cells if self.snr[u][c] > self.least}
            self.links[u] &= reach
            c = action[u] - 1
            if c < 0:
                continue
            if self.mode == "single":
                self.links[u] = {c} if c in reach else self.links[u]
            else:
                self.links[u] = self.links[u] - {c} if c in self.links[u] else self.links[u] | ({c} & reach)
        alone = {(u, c): 9.0 * math.log1p(self.quality(u, c)) / math.log(2) for u in self.users for c in self.links[u]}
        self.rate = [sum(self.part(alone, u, c) for c in self.links[u]) for u in self.users]
        self.utility = [min(max(10 * math.log10(r), -20), 20) / 20 if r > 0 else -1.0 for r in self.rate]
        judged = [self.utility[u] for u in self.users if self.present[u]]
        return sum(judged) / len(judged) if judged else 0.0

    def part(self, alone, u, c):
        """Of the cell's time: an equal part, one that makes rates equal, or one as large as the link is good."""
        rates = {v: alone[v, c] for v in self.users if c in self.links[v]}
        if self.share == "resource-fair":
            return rates[u] / len(rates)
        if self.share == "rate-fair":
            return 1.0 / sum(1.0 / rate for rate in rates.values())
        return rates[u] * rates[u] / sum(rates.values())

    def observation(self):
        rows = []
        for u in self.users:
            n = len(self.cells)
            if not self.present[u]:
                rows += [0.0] * 2 * n + [-1.0] + ([-1.0] * n + [0.0] * n if self.broadcast else [])
                continue
            quality = [self.quality(u, c) for c in self.cells]
            rows += [float(c in self.links[u]) for c in self.cells]
            rows += [q / max(quality) for q in quality]
            rows += [self.utility[u]]
            if self.broadcast:
                members = {c: [v for v in self.users if c in self.links[v]] for c in self.cells}
                reach = [self.snr[u][c] > self.least for c in self.cells]
                heard = sum(len(members[c]) for c in self.cells if reach[c])
                rows += [np.mean([self.utility[v] for v in members[c]]) if reach[c] and members[c] else -1.0
                         for c in self.cells]  # fmt: skip
                rows += [len(members[c]) / max(heard, 1) if reach[c] else 0.0 for c in self.cells]
        return np.array(rows)
