"""Training that was interrupted: the signal stays the caller's, and the model is as it was before."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def signals_of_the_caller() -> Iterator[None]:
    """Raise KeyboardInterrupt where Lightning would end the program, and keep the caller's handler of SIGINT.

    Lightning turns Ctrl-C into ``sys.exit(1)`` and ignores any further one.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            raise end.__context__ from None
        raise
    finally:
        if in_main_thread and before is not None and signal.getsignal(signal.SIGINT) is not before:
            signal.signal(signal.SIGINT, before)


@contextmanager
def unchanged_unless_finished(model: Any) -> Iterator[None]:
    """Put parameters and attributes of a model back if the block ends with an error or an interruption."""
    attributes = dict(vars(model))
    history = model.history_
    copied = dict(history) if isinstance(history, dict) else history
    state = {name: value.clone() for name, value in model.module.state_dict().items()}
    training = model.module.training
    try:
        yield
    except BaseException:
        # until all is back it does not count as trained: a second signal may arrive here
        model.is_trained_ = False
        model.module.load_state_dict(state)
        model.module.zero_grad()
        model.module.train(training)
        for name in set(vars(model)) - set(attributes):
            delattr(model, name)
        vars(model).update(attributes | {"history_": copied, "is_trained_": False})
        model.is_trained_ = attributes["is_trained_"]
        raise
