"""The checks of the real code, each taken away: by its text, so that nothing else of the code is another."""

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock


@dataclass(frozen=True)
class Mutation:
    """`old` stands once in the module and becomes `new`; `target` is the class or function that is built anew of it. `is_rare`: it shows in less than one
    interleaving of 500."""

    name: str
    old: str
    new: str
    module: str = "agents.land"
    target: str = "Landing"
    is_rare: bool = False

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Raises AssertionError when the text does not stand there once: the check has another form by now."""
        module = importlib.import_module(self.module)
        source = inspect.getsource(module)
        count = source.count(self.old)
        assert count == 1, (
            f"mutation '{self.name}': the text that it changes stands in {self.module} {count} times, once is right: {self.old}"
        )
        changed: dict[str, Any] = {"__name__": self.module}
        exec(compile(source.replace(self.old, self.new), inspect.getfile(module), "exec"), changed)
        # All other classes are what they are to everybody else.
        changed |= {name: found for name, found in vars(module).items() if isinstance(found, type) and name != self.target}
        with mock.patch.object(module, self.target, changed[self.target]):
            yield


_TAKEOVER: dict[str, Any] = {"module": "pipeline.takeover", "target": "TakeOver"}
_BUFFER: dict[str, Any] = {"module": "agents.buffer", "target": "Buffer"}
_FLUSH: dict[str, Any] = {"module": "pipeline.flush_decision"}

MUTATIONS = (
    Mutation("the token is not looked at before a flush", "if owned is None or token != owned.token:", "if owned is None:"),
    Mutation(
        "the commit of events does not carry the token",
        '            transactions[one.position.app_id(self.events.name, "/owner")] = self.owned[one.position].token\n',
        "",
    ),
    Mutation(
        "a range need not begin at the wanted offset",
        "elif wanted == one.start:",
        "else:\n                remaining.append(one)\n                continue\n            if False:",
    ),
    Mutation("a range that has landed is not recognised", "elif wanted == one.end:", "elif False:"),
    Mutation(
        "a range that has landed is landed again",
        "elif wanted == one.end:",
        "elif wanted == one.end:\n                remaining.append(one)\n            elif False:",
    ),
    Mutation(
        "what dead_letters holds is judged again",
        "judged = judge(pending, held)",
        "judged = judge(pending, {position: frozenset() for position in held})",
    ),
    Mutation(
        "what dead_letters holds is not read at the take-over",
        "owned.held = self.dead_letters.held_offsets(position.topic_id, position.partition, owned.wanted)\n        self.owned.update",
        "owned.held = frozenset()\n        self.owned.update",
    ),
    Mutation(
        "what dead_letters holds is not read after an unknown outcome",
        "            self.owned[one.position].held = None\n",
        "            pass\n",
        is_rare=True,
    ),
    Mutation(
        "what dead_letters holds behind a range that landed is forgotten",
        "frozenset(offset for offset in held if offset >= one.end)",
        "frozenset()",
        is_rare=True,
    ),
    Mutation("what was just committed to dead_letters is not held", " | judged.dead_offsets(one.position)", ""),
    Mutation(
        "a late commit to dead_letters is passed by",
        "        if not self._is_held_unknown(pending):\n            self.dead_letters.refresh()\n            self.doubts.resolve(self.dead_letters)\n        #",
        "        self.dead_letters.refresh()\n        #",
        is_rare=True,
    ),
    Mutation(
        "events are committed before dead_letters",
        "(yield from self._commit_dead_letters(pending, judged, held)) and (yield from self._commit_events(counted, judged.events))",
        "(yield from self._commit_events(counted, judged.events)) and (yield from self._commit_dead_letters(pending, judged, held))",
    ),
    Mutation(
        "the wanted offset of dead_letters may go back",
        "max(self.dead_letters.committed(wanted_id) or 0, one.end)",
        "one.end",
        is_rare=True,
    ),
    Mutation(
        "the token is not looked at before the commit of dead_letters",
        "if self.dead_letters.committed(token_id) != self.owned[one.position].token:",
        "if False:",
    ),
    Mutation(
        "the commit of dead_letters does not carry the token",
        "            transactions[token_id] = self.owned[one.position].token\n",
        "",
        is_rare=True,
    ),
    Mutation("old uploads are committed", "return any(self.clock()", "return False and any(self.clock()"),
    Mutation(
        "a refused commit of events is taken for done",
        'except CommitRefusedError:\n            return False\n        yield "after events commit"',
        'except CommitRefusedError:\n            pass\n        yield "after events commit"',
    ),
    Mutation(
        "a refused commit of dead_letters is taken for done",
        "except CommitRefusedError:\n            return False\n        for one in pending:",
        "except CommitRefusedError:\n            pass\n        for one in pending:",
    ),
    Mutation(
        "a refused take-over of events is taken for done",
        'except CommitRefusedError:\n                continue\n        yield "after take-over of events"',
        'except CommitRefusedError:\n                break\n        yield "after take-over of events"',
    ),
    Mutation("a take-over does not raise the token of dead_letters", "if not tokens:", "if tokens or not tokens:"),
    Mutation(
        "a refused take-over of dead_letters is taken for done",
        "self.dead_letters.commit([], tokens)\n                break\n            except CommitRefusedError:\n                continue",
        "self.dead_letters.commit([], tokens)\n                break\n            except CommitRefusedError:\n                break",
        is_rare=True,
    ),
    Mutation(
        "a dead letter whose record is gone is taken for a hole",
        "counted = [one.with_gone(held[one.position], judged.held.get(one.position, 0)) for one in pending]",
        "counted = pending",
        is_rare=True,
    ),
    Mutation("a gap is not recorded", '            transactions[position.app_id(name, "/gaps")] = number\n', ""),
    Mutation("a gap is not reported", "self.gaps.append(gap)", "pass"),
    Mutation("a lost end of the log is passed over", "elif wanted > candidate.latest:", "elif False:"),
    Mutation("an added partition begins by policy", "and not is_added else", "else"),
    Mutation("how many partitions there were is not kept", "transactions[count_id] = candidate.partition_count", "pass"),
    Mutation("which topic a name stands for is not kept", "transactions |= plan_incarnation(", "dict[str, int]() | plan_incarnation("),
    Mutation("a topic that has ended may come back in the place of its successor", "if not is_present():", "if False:", is_rare=True),
    Mutation(
        "a topic that was made anew is not reported",
        "self.is_topic_replaced |= any(self.events.committed(app_id) == own for app_id, own in self._planned_replacement.items())",
        "pass",
        is_rare=True,
    ),
    Mutation("a step may lose a record", "if consumed != accounted:", "if False:"),
    Mutation("a lost end is believed at once", "if known is not None and error.latest < known:", "if True:", **_TAKEOVER, is_rare=True),
    Mutation(
        "the bounds of the topic before are used",
        "if before is None or before.topic_id != found.topic_id:",
        "if False:",
        **_TAKEOVER,
        is_rare=True,
    ),
    Mutation(
        "the bounds are used though nobody knows of which topic",
        "if before is None or before.topic_id",
        "if before is not None and before.topic_id",
        **_TAKEOVER,
        is_rare=True,
    ),
    Mutation("a batch of before the take-over is taken", "batch.generation != self._generation or ", "", **_BUFFER, is_rare=True),
    Mutation("a batch that is there already is taken", " or batch.start < expected", "", **_BUFFER),
    Mutation("a batch that skips records is taken", "if batch.start > expected:", "if False:", **_BUFFER),
    Mutation(
        "a flush that waited for a take-over lands",
        "return batches[0].generation != generation",
        "return False",
        **_FLUSH,
        target="is_void",
    ),
    Mutation(
        "a flush does not ask which topic the name stands for",
        "return found is None or found.topic_id != taken_over.topic_id",
        "return False",
        **_FLUSH,
        target="is_another_topic",
        is_rare=True,
    ),
    Mutation("a fenced worker goes on where it was", "return bool(fenced)", "return False", **_FLUSH, target="must_set_anew"),
    Mutation(
        "what follows a flush that was given up lands",
        "if not is_void(batches, generation):\n        buffer.reset({}, generation)",
        "pass",
        **_FLUSH,
        target="give_up",
        is_rare=True,
    ),
    Mutation(
        "a take-over does not say what comes next",
        "{(topic, partition): offset for partition, offset in starts.items()}",
        "{(topic, partition): 0 for partition in starts}",
        **_FLUSH,
        target="expect",
    ),
)
