"""The list: every fault and every attack, by its number, which never changes, and the bar that it must pass."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A fault or an attack. V: lost 0, duplicate 0, every acknowledged record an event or a dead letter, the same payloads, the audit clean."""

    number: str
    name: str
    bar: str

    @property
    def is_verdict(self) -> bool:
        """Whether the bar is V, and something must have been held against a ledger."""
        return self.bar.startswith("V")


FAULTS = (
    Row(
        "01",
        "kill -9 of a worker in mid-flush",
        "V in 200 kills or more, each with a record held; resumes within session timeout + 5 s (p99)",
    ),
    # Over the gaps of the restarts, not over all samples. A short run notes them: beside other tests a gap is the time that Python needs to import.
    Row("02", "rolling restart, SIGTERM one by one at full load", "V; gap in freshness below 10 s (p99 of the full run's restarts)"),
    # With one of three away the others go on, and no backlog is sure: the drain of three is that after two were away.
    Row(
        "03",
        "broker killed or restarted, 1 and 3 brokers",
        "V; the backlog drains at twice the input rate or more (of three, after two were away)",
    ),
    # Ten minutes. Every two seconds a bare consumer joins or leaves, which costs no imports; workers come and go among it, one after the other.
    # The pace is measured beside it, in half a minute of a storm while a backlog waits at its beginning and at its end.
    Row("04", "rebalance storm", "V; half of the nominal throughput or more, which is 20,000 records a second here"),
    Row("05", "zombie writer, and two permanent rivals", "V; fenced once or more for each injection"),
    Row("06", "lost reply on commit", "V; every unknown outcome resolved by looking"),
    Row("07", "S3 answers 500 or 503", "V; memory below its cap; recovered within 60 s"),
    Row("08", "S3 slow, or silent", "V; event loop lag below 200 ms (p99); back-pressure engages"),
    Row("09", "torn or altered upload", "V; every one detected before the commit"),
    Row("10", "disk full", "V; pause and alarm, no crash loop, resumes by itself"),
    Row("11", "out of memory, or of file descriptors", "V after the restart; no poison loop"),
    Row("12", "clock skew, clock jump", "V; no use of the wall clock for correctness; the store's refusal is named"),
    Row("13", "poison messages", "every one a dead letter with its reason; no worker dies"),
    Row("14", "oversized records, a poll of a million", "dead letters with size and hash; memory below its cap"),
    Row("15", "schema drift", "V; no file more for alternating shapes; columns bounded"),
    # The collector adds what clients leave out before it judges: of an object that is no event it may make one.
    Row("16", "malformed UTF-8, JSON bombs", "no crash; the same verdict by every parser path"),
    Row("17", "duplicate delivery", "V; rows exact; beyond the window a resend lands again"),
    Row("18", "late and out of order", "V; files at most twice the baseline; late rows in the right day"),
    # Keys are renewed each twenty seconds here, not each hour: the bar is in their periods.
    Row("19", "expiry of credentials", "V; gap below two refreshes"),
    Row("20", "contention for commits and for definitions", "V; no starvation (Jain 0.9 or more)"),
    Row("21", "compaction, appends and queries together", "V; no query fails; sums equal"),
    Row("22", "vacuum against a stopped writer", "V; an unsafe retention is refused"),
    # Silent is one case: a log that was put back from an older copy and has grown past what had landed before a worker looked (README, "gone").
    Row("23", "topic made anew, cut by retention, or put back from a copy", "a loud stop or a counted gap"),
    Row("24", "partitions added live", "V"),
    Row("25", "network partition", "V"),
    # The rate is the highest at which one worker's death is made good in 20 s, 8,000 a second at the most: the checkers look at each record.
    Row(
        "26",
        "soak under mixed faults; overload",
        "V; slopes of memory and descriptors about 0; freshness below 5 s (p99), faults and 20 s after each left out",
    ),
    # Kills, not current: what a process has given to the system outlives it. Against the loss of a machine stand replicas.
    Row("27", "broker, S3 and workers killed at once, at work and while they start", "V against what Kafka acknowledged"),
    Row("28", "upgrade and rollback", "V"),
    # The code of the decisions runs; that it is tried again, given up and called in turn is simulated, as Kafka, the store and time are.
    Row("29", "deterministic model", "a million interleavings or more, no violation; every check that is removed is caught"),
)
ATTACKS = (
    Row("S1", "authentication of the collector", "every bad request 4xx, none reaches Kafka; no measurable timing difference"),
    Row("S2", "Kafka's TLS and SASL", "refused; no plaintext on the wire"),
    Row("S3", "SQL from people", "read by allow-list; DuckDB locked down; memory and time bounded"),
    Row("S4", "CSV in and out", "exported cells neutralised; imports store text"),
    Row("S5", "requests led elsewhere (SSRF)", "addresses by allow-list only; no redirect followed"),
    Row("S6", "path traversal", "keys always below the table's root"),
    Row("S7", "private values", "no hit in lake, dead letters, logs and labels"),
    # A connection beyond their number is closed without an answer, one that asks too slowly is, too.
    Row("S8", "denial of service", "memory bounded; refused with 4xx, 429 or 500, or closed, and counted"),
    Row("S9", "supply chain", "hashes pinned, an SBOM, no extension installed by itself"),
)
ROWS = FAULTS + ATTACKS
# Rows that this place cannot run, by number, and why: at most two. They do not hold, and are not counted.
EXCUSED: dict[str, str] = {}
