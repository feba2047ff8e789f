"""Types and shapes of what functions of vireid take and give, checked while tests run.

jaxtyping compares the letters of shapes (`n`, `d`) within a call, and takes longer for that than
most functions run. Functions that name no array have nothing to compare: beartype alone checks
those. A check is made when its function is first called, for most functions are not called by the
tests of one room.
"""

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any

import jaxtyping
from beartype import BeartypeConf, FrozenDict, beartype

# An int is a good float here, as for every type checker. Functions are decorated one by one, where
# beartype cannot know what Self is.
CONF = BeartypeConf(
    is_pep484_tower=True, hint_overrides=FrozenDict({typing.Self: object}), violation_type=TypeError
)
_with_shapes = jaxtyping.jaxtyped


def install() -> None:
    """Check every function of vireid that is imported from now on."""
    jaxtyping.install_import_hook("vireid", "beartype.beartype")
    # What the import hook writes above every function and class.
    jaxtyping.jaxtyped = lambda *, typechecker: checked  # type: ignore[assignment]


def checked(what: Any) -> Any:
    """Return a function, a method or a data class that checks what it takes and gives."""
    if isinstance(what, classmethod | staticmethod):
        return type(what)(checked(what.__func__))
    if isinstance(what, property):
        return property(*(each and checked(each) for each in (what.fget, what.fset, what.fdel)))
    if inspect.isclass(what):
        if is_dataclass(what) and "__init__" in vars(what):
            what.__init__ = checked(what.__init__)  # type: ignore[method-assign]
        return what
    return _now(what) if inspect.iscoroutinefunction(what) else _when_called(what)


def _when_called(function: Callable[..., Any]) -> Callable[..., Any]:
    check = None

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        nonlocal check
        if check is None:
            check = _now(function)
        return check(*args, **kwargs)

    return called


def _now(function: Callable[..., Any]) -> Callable[..., Any]:
    if any(map(names_an_array, inspect.get_annotations(function).values())):
        return _with_shapes(function, typechecker=beartype(conf=CONF))
    return beartype(conf=CONF)(function)


def names_an_array(hint: Any) -> bool:
    """Tell whether a type is one of arrays with a shape, or of something that holds such."""
    if isinstance(hint, str | typing.ForwardRef):
        return True  # it cannot be seen yet
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    parts = hint if isinstance(hint, list) else typing.get_args(hint)
    return any(map(names_an_array, parts))
