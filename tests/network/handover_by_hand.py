"""Event A3, radio-link failure and ping-pong for one user, in plain Python: slow, written to be compared with."""

from __future__ import annotations

from math import log10

SUBSTEP_MS = 40


class User:
    """One user's measurements; `second` advances them and returns the log."""

    def __init__(self, p):
        self.p, self.a = p, 1 - (1 - 2 ** (-p.filter_k / 4)) ** (SUBSTEP_MS / 200)
        self.level, self.filtered, self.held = {}, {}, {}
        self.serving = self.below = self.sinr = self.total = None
        self.left, self.left_ms = None, -(10**9)

    def second(self, time_s, report, total_dbm, noise_dbm, offset_db, load=None):
        """`report`: RSRP in dBm by cell, the serving cell first; each counts in the total with its `load`, or 1."""
        p, serving = self.p, next(iter(report))
        begin = {c: self.level.get(c, dbm) for c, dbm in report.items()}
        filtered = {c: self.filtered.get(c, dbm) for c, dbm in report.items()}
        same = serving == self.serving
        held = {c: self.held.get(c) if same else None for c in report}
        below = self.below if same else None
        total = total_dbm if self.total is None else self.total
        load = dict.fromkeys(report, 1.0) if load is None else load
        end_sinr = sinr_db(report[serving], load[serving], total_dbm, noise_dbm[serving])
        sinr, log = (self.sinr if same else end_sinr, end_sinr), []
        for i in range(1, 26):
            at_ms, share = time_s * 1000 + i * SUBSTEP_MS, i / 25
            now = {c: begin[c] + share * (report[c] - begin[c]) for c in report}
            heard = total + share * (total_dbm - total)
            for c in report:
                filtered[c] += self.a * (now[c] - filtered[c])
            quality = sinr[0] + share * (sinr[1] - sinr[0])
            if below is not None:
                below = None if quality > p.qin_db else below + SUBSTEP_MS
            elif quality < p.qout_db:
                below = 0
            best = max(report, key=lambda c: now[c])
            due = self.due(filtered, held, serving, offset_db)
            if below is not None and below >= p.t310_ms:
                to, entry = best, ("radio-link-failure", best)
            else:
                if due is None:
                    continue
                fails = sinr_db(now[due], load[due], heard, noise_dbm[due]) < p.qout_db
                to, entry = (best, ("failure", due)) if fails else (due, ("handover", due))
            back = entry[0] == "handover" and to == self.left and at_ms - self.left_ms < 1000 * p.ping_pong_s
            log.append((i * SUBSTEP_MS, entry[0], serving, entry[1], back))
            if to != serving:
                self.left, self.left_ms = serving, at_ms
            serving, below, held = to, None, dict.fromkeys(report)
            sinr = [
                sinr_db(dbm, load[to], all_dbm, noise_dbm[to])
                for dbm, all_dbm in ((begin[to], total), (report[to], total_dbm))
            ]
        self.level, self.filtered, self.held = dict(report), filtered, held
        self.serving, self.below, self.sinr, self.total = serving, below, sinr[1], total_dbm
        return serving, log

    def due(self, filtered, held, serving, offset_db):
        """The neighbour for which the condition has held long enough, the best of several."""
        p, ready = self.p, {}
        for c in filtered:
            if c == serving:
                continue
            better = filtered[c] + offset_db[c] - filtered[serving] - offset_db[serving]
            if held[c] is None:
                held[c] = 0 if better > p.offset_db + p.hysteresis_db else None
            elif better < p.offset_db - p.hysteresis_db:
                held[c] = None
            else:
                held[c] += SUBSTEP_MS
            if held[c] is not None and held[c] >= p.time_to_trigger_ms:
                ready[c] = better
        return max(ready, key=ready.get) if ready else None


def sinr_db(own_dbm, load, total_dbm, noise_dbm):
    own, total, noise = (10 ** (x / 10) for x in (own_dbm, total_dbm, noise_dbm))
    return 10 * log10(own / (max(total - load * own, 0) + noise))
