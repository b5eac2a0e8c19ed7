"""Past windows in a memory, as the monitor writes them."""

from monitor.detection.quantised import quantised
from monitor.memory.memory_reader import memory_directory, to_ns
from monitor.memory.segment import HOUR_NS, Entry, Header
from monitor.memory.segment_writer import SegmentWriter


def remember(state, engine, rows, *, since, source="crib", level=-40.0):
    """Write embeddings, shape (n, d): windows one hop apart, the first of which ends at ``since``."""
    directory = memory_directory(state, engine.identity) / source
    directory.mkdir(parents=True, exist_ok=True)
    begin = to_ns(since)
    after = 0
    hop_ns = round(1e9 * engine.hop / engine.rate)
    for first in range(0, len(rows), max(1, HOUR_NS // hop_ns)):
        part = rows[first : first + HOUR_NS // hop_ns]
        header = Header(rows.shape[1], engine.rate, engine.length, engine.hop, after=after)
        writer = SegmentWriter(directory, begin + first * hop_ns, header)
        writer.append(
            [
                Entry(
                    begin + (first + place) * hop_ns,
                    engine.length + (first + place) * engine.hop,
                    level=level,
                    vector=vector.astype("<i2").tobytes(),
                )
                for place, vector in enumerate(quantised(part))
            ]
        )
        after = writer.number
        writer.close()
