"""One asyncio loop in a thread of its own, for all users and proxies of the lab.

Tests stay plain functions: loop.call(coroutine) runs it there and returns its
result here.
"""

import asyncio
import contextlib
import threading

WAIT = 30.0


class Loop:
    def __init__(self):
        self._loop, self._users = asyncio.new_event_loop(), []
        self._thread = threading.Thread(target=self._run, name="lab-loop", daemon=True)
        self._thread.start()

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def call(self, coroutine, timeout=WAIT):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    def start(self, coroutine):
        """Run it without waiting; .result() of what is returned waits."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def owns(self, user):
        """To be closed with the loop at the latest: what nobody closes keeps its address."""
        self._users.append(user)

    def close(self):
        for user in self._users:
            with contextlib.suppress(Exception):
                user.close()
        self.call(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT)
        self._loop.close()

    @staticmethod
    async def _cancel_all():
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
