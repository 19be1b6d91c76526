"""The protocol's ``Store`` on Redis: one hash for each task, one atomic command or script per step.

A hash's fields are ``#token``, ``#cut``, and one for each state key. A read is one HMGET of token,
cut and keys together; claim and write are scripts. All of them may be asked twice, so the client
itself repeats what got no answer.

Nothing here ever expires or may be evicted: a Redis that evicts is refused at start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from headrace.schemas.errors import Refused, ServiceError
from headrace.streams.protocol.ports import Cut, Lost, TaskId

TOKEN = "#token"  # noqa: S105 - a field's name
CUT = "#cut"

_CLAIM = """
redis.call('HSET', KEYS[1], '#token', ARGV[1])
return redis.call('HGET', KEYS[1], '#cut')
"""

_WRITE = """
local held = redis.call('HMGET', KEYS[1], '#token', '#cut')
if held[1] ~= ARGV[1] then return 'token' end
if held[2] == ARGV[3] then return 'ok' end
if (held[2] or '') ~= ARGV[2] then return held[2] or '' end
local deletions = tonumber(ARGV[4])
local at, stop = 5, 4 + deletions
while at <= stop do
  local upto = math.min(at + 3999, stop)
  redis.call('HDEL', KEYS[1], unpack(ARGV, at, upto))
  at = upto + 1
end
while at <= #ARGV do
  local upto = math.min(at + 3999, #ARGV)
  redis.call('HSET', KEYS[1], unpack(ARGV, at, upto))
  at = upto + 1
end
redis.call('HSET', KEYS[1], '#cut', ARGV[3])
return 'ok'
"""

_SCAN_FIELDS = 5_000


class RedisStore:
    """State of all tasks, in one Redis or Valkey.

    Parameters
    ----------
    url
        ``redis://``, ``rediss://`` (TLS) or ``unix://``, with user and password if need be.
    timeout_s
        How long one attempt may take, to connect or to answer.
    retries
        How many further attempts are made; with the pauses between them all ends within about
        ``(retries + 1) * timeout_s + 1`` seconds.
    """

    def __init__(self, url: str, *, timeout_s: float = 2.0, retries: int = 3) -> None:
        self._redis: Any = redis.Redis.from_url(
            url,
            decode_responses=False,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            socket_keepalive=True,
            retry=Retry(ExponentialBackoff(cap=0.25, base=0.02), retries),
            retry_on_error=[redis.ConnectionError, redis.TimeoutError],
        )
        at = self._redis.get_connection_kwargs()
        self._address = str(at.get("path") or f"{at.get('host')}:{at.get('port')}")
        self._claim = self._redis.register_script(_CLAIM)
        self._write = self._redis.register_script(_WRITE)

    def check(self) -> None:
        """See that the server answers, and that it never evicts.

        Raises
        ------
        Refused
            Its ``maxmemory-policy`` would drop state without a word.
        ServiceError
            It does not answer.
        """
        with self._translated():
            policy = self._redis.info("memory").get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise Refused(
                f"Redis at {self._address} has maxmemory-policy {policy}: it would drop feature"
                " state when memory is short.",
                "Set `maxmemory-policy noeviction`, or give Headrace a Redis of its own.",
            )

    def close(self) -> None:
        """Give the connections back."""
        self._redis.close()

    # -- the port

    def claim(self, task: TaskId, token: str) -> Cut | None:
        """Make ``token`` the task's owner and return the cut of its state."""
        with self._translated():
            return _cut(self._claim(keys=[_key(task)], args=[token]))

    def read(
        self, task: TaskId, token: str, keys: Sequence[str]
    ) -> tuple[Cut | None, Mapping[str, bytes | None]]:
        """Return the cut and the states of some keys, by one command."""
        with self._translated():
            held, cut, *values = self._redis.hmget(_key(task), TOKEN, CUT, *keys)
        _check_owner(task, token, held)
        return _cut(cut), dict(zip(keys, values, strict=True))

    def read_all(self, task: TaskId, token: str) -> tuple[Cut | None, Mapping[str, bytes]]:
        """Return the cut and all states.

        They come in pieces, so that a big state blocks the server for nobody else; whoever wrote
        meanwhile would have changed token or cut.
        """
        cut, _ = self.read(task, token, ())
        with self._translated():
            fields = dict(self._redis.hscan_iter(_key(task), count=_SCAN_FIELDS))
        after, _ = self.read(task, token, ())
        if after != cut:
            raise Lost(f"{task}: the store moved from {cut} to {after} while it was read")
        return cut, _states(fields)

    def write(
        self,
        task: TaskId,
        token: str,
        expected: Cut | None,
        new: Cut,
        puts: Mapping[str, bytes | None],
    ) -> None:
        """Write states, deletions and the new cut, if token and cut are as expected."""
        deleted = [key for key, packed in puts.items() if packed is None]
        args: list[Any] = [token, _text(expected), new.encode(), len(deleted), *deleted]
        for key, packed in puts.items():
            assert key[:1] != "#", f"{key!r}: such names are the store's own"
            if packed is not None:
                args += (key, packed)
        with self._translated():
            answer = self._write(keys=[_key(task)], args=args)
        if answer == b"token":
            raise Lost(f"{task}: the store knows another owner")
        if answer != b"ok":
            held = _cut(answer or None)
            raise Lost(f"{task}: the store holds {held}, expected was {expected}")

    # -- for whoever looks on

    def peek(self, task: TaskId) -> tuple[Cut | None, Mapping[str, bytes]]:
        """Return cut and states without owning the task."""
        with self._translated():
            fields = dict(self._redis.hscan_iter(_key(task), count=_SCAN_FIELDS))
        return _cut(fields.get(CUT.encode())), _states(fields)

    def cut(self, task: TaskId) -> Cut | None:
        """Return the cut of a task's state without owning the task, None if it has no state."""
        with self._translated():
            return _cut(self._redis.hget(_key(task), CUT))

    def size_bytes(self, task: TaskId) -> int:
        """Return about how much memory a task's state takes in the server, in bytes."""
        with self._translated():
            return int(self._redis.memory_usage(_key(task)) or 0)

    def tasks(self, pipeline: str) -> list[TaskId]:
        """Return all tasks of a pipeline that have state here, of any version."""
        with self._translated():
            found = list(self._redis.scan_iter(f"headrace:{pipeline}:v*:*:*", count=_SCAN_FIELDS))
        names = sorted(key.decode().split(":") for key in found)
        return [TaskId(pipeline, int(v[1:]), stage, int(n)) for _, _, v, stage, n in names]

    def forget(self, task: TaskId) -> None:
        """Drop a task's state, cut and owner: it is restored from the log, or begins anew."""
        with self._translated():
            self._redis.unlink(_key(task))

    def put_worker(self, pipeline: str, worker: str, state: str) -> None:
        """Write what a worker says of itself on the pipeline's board."""
        with self._translated():
            self._redis.hset(_board(pipeline), worker, state)

    def drop_worker(self, pipeline: str, worker: str) -> None:
        """Take a worker off the board."""
        with self._translated():
            self._redis.hdel(_board(pipeline), worker)

    def workers(self, pipeline: str) -> dict[str, str]:
        """Return what each worker has said of itself."""
        with self._translated():
            found = self._redis.hgetall(_board(pipeline))
        return {worker.decode(): state.decode() for worker, state in found.items()}

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the client's errors into ours: the one seam."""
        try:
            yield
        except redis.AuthenticationError as error:
            raise Refused(
                f"Redis at {self._address} does not accept user or password: {error}.",
                "Correct HEADRACE_REDIS_URL.",
            ) from error
        except redis.RedisError as error:
            raise ServiceError(
                f"Redis at {self._address}: {error or type(error).__name__}."
                " See that it runs and that HEADRACE_REDIS_URL names it."
            ) from error


def _key(task: TaskId) -> str:
    return f"headrace:{task.pipeline}:v{task.version}:{task.stage}:{task.partition}"


def _board(pipeline: str) -> str:
    return f"headrace:{pipeline}:workers"


def _text(cut: Cut | None) -> str:
    return "" if cut is None else cut.encode()


def _cut(held: bytes | None) -> Cut | None:
    return None if held is None else Cut.decode(held.decode())


def _states(fields: Mapping[bytes, bytes]) -> dict[str, bytes]:
    return {name.decode(): packed for name, packed in fields.items() if name[:1] != b"#"}


def _check_owner(task: TaskId, token: str, held: bytes | None) -> None:
    if held != token.encode():
        raise Lost(f"{task}: the store knows another owner")
