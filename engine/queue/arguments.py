"""Checks a job's arguments against the task's signature, before they enter the queue and again when they leave it.

All is compiled once, when the task is declared: one msgspec Struct whose fields are the parameters.  ``bind`` names
positional arguments, ``check`` refuses what does not fit (types are not coerced: JSON has types), ``convert`` and ``open``
give the worker values of the annotated types.  Defaults are never filled in: the function's own stand at the time it runs.
Messages name ``args.<name>`` and the shape that came, never the value: it may be long or a secret.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, get_type_hints

import msgspec

from engine.kernel.errors import DeclarationError, ValidationError
from engine.queue import codec
from engine.queue.codec import Envelope

_Kind = inspect.Parameter
_PATH = re.compile(r"(?P<text>.*?)(?: - at `\$(?P<path>.*)`)?\Z", re.DOTALL)
_KEY_PATH = re.compile(r"(?P<text>.*) - at `key` in `\$(?P<path>.*)`\Z", re.DOTALL)


class ArgumentValidator:
    """The compiled signature of one task.  Raises ``DeclarationError`` if no job could ever carry its arguments."""

    def __init__(self, func: Callable[..., Any], name: str = "") -> None:
        self._label = name or f"{func.__module__}.{func.__qualname__}"
        hints = _hints(func, self._label)
        parameters = list(inspect.signature(func).parameters.values())
        #: whether the first parameter is annotated ``Context``
        self.wants_context = bool(parameters) and is_context(hints.get(parameters[0].name))
        if self.wants_context:
            parameters = parameters[1:]
        self._refuse_unsendable(parameters)
        #: names of the parameters, in order
        self.names = tuple(p.name for p in parameters if p.kind is not _Kind.VAR_KEYWORD)
        self._positional = tuple(p.name for p in parameters if p.kind is _Kind.POSITIONAL_OR_KEYWORD)
        self._allowed = frozenset(self.names)
        self._required = tuple(p.name for p in parameters if p.default is p.empty and p.name in self._allowed)
        self._extra = self._compile_extra(parameters, hints)
        self._shape = self._compile(parameters, hints)
        self._decode = self._compile_decoder(parameters, hints)

    @property
    def takes_extra(self) -> bool:
        """Whether the function has ``**kwargs``."""
        return self._extra is not None

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by parameter name.  ``check`` says whether they fit."""
        if not args:
            return dict(kwargs)
        if len(args) > len(self._positional):
            raise ValidationError(
                f"args: {self._label} takes {len(self._positional)} positional arguments, got {len(args)}", "args"
            )
        bound = dict(zip(self._positional, args, strict=False))
        for name in bound.keys() & kwargs.keys():
            raise ValidationError(f"args.{name}: given twice, by position and by name", f"args.{name}")
        bound.update(kwargs)
        return bound

    def check(self, args: dict[str, Any]) -> dict[str, Any]:
        """``args`` themselves if they fit the signature; else ``ValidationError`` naming ``args.<name>``."""
        self._converted(args)
        return args

    def convert(self, args: dict[str, Any]) -> dict[str, Any]:
        """The arguments as the annotated types, to call the function with by name."""
        shape = self._converted(args)
        if len(args) == len(self.names) and self._extra is None:
            return msgspec.structs.asdict(shape)
        values = {name: getattr(shape, name) for name in args if name in self._allowed}
        if self._extra is not None and len(values) < len(args):
            values.update(self._convert_extra(args))
        return values

    def open(self, payload: bytes) -> tuple[Envelope, dict[str, Any]]:
        """The envelope in a job's payload, and its arguments as ``convert`` gives them.  Raises as ``codec.decode`` does, too."""
        if self._decode is not None:
            try:
                envelope = self._decode(payload)
                return envelope, msgspec.structs.asdict(envelope.args)  # type: ignore[arg-type]
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                pass  # what is wrong, if anything is, is told below
        envelope = codec.decode(payload)
        return envelope, self.convert(envelope.args)

    def _converted(self, args: dict[str, Any]) -> Any:
        if self._extra is None:
            if not args.keys() <= self._allowed:
                raise self._unknown(args)
        elif not args.keys() <= self._allowed:
            self._convert_extra(args)
        try:
            return msgspec.convert(args, self._shape, dec_hook=from_plain, str_keys=True)
        except msgspec.ValidationError as error:
            raise self._misfit(args, error) from None

    def _convert_extra(self, args: dict[str, Any]) -> dict[str, Any]:
        extra = {name: value for name, value in args.items() if name not in self._allowed}
        try:
            return msgspec.convert(extra, dict[str, self._extra], dec_hook=from_plain, str_keys=True)  # type: ignore[name-defined]
        except msgspec.ValidationError as error:
            text, path = _parts(error)
            raise ValidationError(f"args{path}: {text}", f"args{path}") from None

    def _unknown(self, args: dict[str, Any]) -> ValidationError:
        name = next(name for name in args if name not in self._allowed)
        near = difflib.get_close_matches(str(name), self.names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(self.names) or 'no arguments'}"
        return ValidationError(f"args.{name!s:.60}: {self._label} has no such argument; {hint}", f"args.{name!s:.60}")

    def _misfit(self, args: dict[str, Any], error: msgspec.ValidationError) -> ValidationError:
        for name in self._required:
            if name not in args:
                return ValidationError(f"args.{name}: missing; {self._label} needs it", f"args.{name}")
        text, path = _parts(error)
        return ValidationError(f"args{path}: {text}", f"args{path}")

    def _refuse_unsendable(self, parameters: Sequence[inspect.Parameter]) -> None:
        for parameter in parameters:
            if parameter.kind is _Kind.VAR_POSITIONAL:
                raise DeclarationError(
                    f"{self._label}: *{parameter.name} cannot carry a job's arguments, they go by name; take a list"
                )
            if parameter.kind is _Kind.POSITIONAL_ONLY:
                raise DeclarationError(
                    f"{self._label}: {parameter.name} is positional-only, a job's arguments go by name; remove the '/'"
                )

    def _compile(self, parameters: Sequence[inspect.Parameter], hints: Mapping[str, Any]) -> type[msgspec.Struct]:
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        for parameter in parameters:
            if parameter.kind is _Kind.VAR_KEYWORD:
                continue
            hint = hints.get(parameter.name, Any)
            if parameter.default is None:
                hint = hint | None if hint is not Any else Any
            self._check_hint(parameter.name, hint)
            fields.append((parameter.name, hint) if parameter.default is _Kind.empty else (parameter.name, hint, None))
        return msgspec.defstruct("Arguments", fields, kw_only=True, gc=False)

    def _compile_decoder(
        self, parameters: Sequence[inspect.Parameter], hints: Mapping[str, Any]
    ) -> Callable[[bytes], Envelope] | None:
        """Payload and arguments decoded in one go, where every argument must be given; else ``None``."""
        if self._extra is not None or len(self._required) < len(self.names):
            return None
        fields = [(parameter.name, hints.get(parameter.name, Any)) for parameter in parameters]
        exact = msgspec.defstruct("Arguments", fields, kw_only=True, gc=False, forbid_unknown_fields=True)
        return codec.decoder_for(exact, from_plain)

    def _compile_extra(self, parameters: Sequence[inspect.Parameter], hints: Mapping[str, Any]) -> Any:
        for parameter in parameters:
            if parameter.kind is _Kind.VAR_KEYWORD:
                hint = hints.get(parameter.name, Any)
                self._check_hint(parameter.name, hint)
                return hint
        return None

    def _check_hint(self, name: str, hint: Any) -> None:
        try:
            msgspec.inspect.type_info(hint)
        except (TypeError, ValueError) as error:
            raise DeclarationError(
                f"{self._label}: the annotation of {name} cannot be checked: {error}; simplify it or use Any"
            ) from None


def is_context(hint: Any) -> bool:
    """Whether an annotation asks for the job's ``Context``."""
    return bool(getattr(hint, "is_job_context", False))


def from_plain(kind: type, value: Any) -> Any:
    """What msgspec does not know how to make: paths, and pydantic models from dicts."""
    if isinstance(value, kind):
        return value
    if issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    validate = getattr(kind, "model_validate", None)
    if validate is not None:
        return _model(kind, validate, value)
    raise ValueError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _model(kind: type, validate: Callable[[Any], Any], value: Any) -> Any:
    try:
        return validate(value)
    except ValueError as error:
        list_errors = getattr(error, "errors", None)
        if list_errors is None:
            raise
        first = list_errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{kind.__name__}: {where + ': ' if where else ''}{first['type'].replace('_', ' ')}") from None


def _hints(func: Callable[..., Any], label: str) -> dict[str, Any]:
    try:
        return get_type_hints(func, include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise DeclarationError(
            f"{label}: an annotation cannot be resolved: {error}; import what it names at the top of the module"
        ) from None


def _parts(error: msgspec.ValidationError) -> tuple[str, str]:
    """The text of an error in our words, without the value, and the path below ``args``."""
    found = _KEY_PATH.match(str(error)) or _PATH.match(str(error))
    if found is None:
        return "does not fit", ""
    text = re.sub(r"^Invalid enum value .*", "is none of the values allowed", found["text"], flags=re.DOTALL)
    return text.replace("`", "").replace("Expected ", "expected ", 1), found["path"] or ""
