from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kernel.errors import DeclarationError, PayloadUnreadable, ValidationError
from engine.queue.arguments import ArgumentValidator
from engine.queue.codec import decode, encode
from engine.queue.context import Context


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Address(msgspec.Struct):
    street: str
    number: int = 1


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Options(TypedDict):
    depth: int


class Person(pydantic.BaseModel):
    name: str
    age: int


class Unsendable:
    pass


def mail(ctx: Context, to: str, subject: str, count: int = 1, tags: list[str] | None = None) -> None:
    """A task as in the guide."""


def typed(
    when: datetime.datetime,
    id: uuid.UUID,
    amount: decimal.Decimal,
    raw: bytes,
    path: Path,
    colour: Colour,
    address: Address,
    point: Point,
    options: Options,
    person: Person,
    pair: tuple[int, str],
    numbers: set[int],
    by_id: dict[int, str],
    wait: datetime.timedelta,
) -> None:
    """A task that uses every kind of argument."""


TYPED: dict[str, Any] = {
    "when": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
    "id": uuid.UUID(int=5),
    "amount": decimal.Decimal("9.99"),
    "raw": b"\x00\x01",
    "path": Path("/data/in.pdf"),
    "colour": Colour.BLUE,
    "address": Address("Main Street", 4),
    "point": Point(1, 2),
    "options": {"depth": 3},
    "person": Person(name="Ann", age=40),
    "pair": (1, "a"),
    "numbers": {1, 2},
    "by_id": {7: "seven"},
    "wait": datetime.timedelta(minutes=5),
}


def refused(func: Callable[..., Any], args: dict[str, Any]) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        ArgumentValidator(func).check(args)
    return caught.value


def test_the_context_is_no_argument_and_is_asked_for() -> None:
    validator = ArgumentValidator(mail)
    assert validator.wants_context
    assert validator.names == ("to", "subject", "count", "tags")


def test_a_function_without_a_context_gets_none() -> None:
    assert not ArgumentValidator(typed).wants_context


def test_good_arguments_pass_unchanged_and_defaults_are_not_filled_in() -> None:
    args = {"to": "a@b", "subject": "hi"}
    assert ArgumentValidator(mail).check(args) is args
    assert ArgumentValidator(mail).convert(args) == args


def test_every_kind_of_argument_comes_back_as_its_type() -> None:
    validator = ArgumentValidator(typed)
    travelled = decode(encode(validator.check(dict(TYPED)))).args
    assert validator.convert(travelled) == TYPED


def test_the_json_form_of_every_kind_of_argument_is_accepted_as_well() -> None:
    validator = ArgumentValidator(typed)
    travelled = decode(encode(TYPED)).args
    assert validator.check(travelled) is travelled


@pytest.mark.parametrize(
    ("args", "field", "text"),
    [
        ({"subject": "s"}, "args.to", "missing"),
        ({}, "args.to", "missing"),
        ({"to": "t", "subject": 5}, "args.subject", "expected str, got int"),
        ({"to": "t", "subject": None}, "args.subject", "expected str, got null"),
        ({"to": "t", "subject": "s", "count": "3"}, "args.count", "expected int, got str"),
        ({"to": "t", "subject": "s", "count": True}, "args.count", "expected int, got bool"),
        ({"to": "t", "subject": "s", "count": 1.5}, "args.count", "expected int, got float"),
        ({"to": "t", "subject": "s", "tags": ["a", 2]}, "args.tags[1]", "expected str, got int"),
        ({"to": "t", "subjct": "s"}, "args.subjct", "did you mean 'subject'?"),
        ({"to": "t", "subject": "s", "zzz": 1}, "args.zzz", "it takes to, subject, count, tags"),
        ({"to": "t", "subject": "s", "ctx": 1}, "args.ctx", "no such argument"),
    ],
)
def test_a_misfit_names_the_argument_and_what_came(args: dict[str, Any], field: str, text: str) -> None:
    error = refused(mail, args)
    assert error.field == field
    assert str(error).startswith(f"{field}: ") and text in str(error)


def test_a_nested_misfit_names_the_whole_path() -> None:
    def deliver(address: Address) -> None: ...

    globals_of_test = {"address": {"street": "S", "number": "x"}}
    assert refused(deliver, globals_of_test).field == "args.address.number"


@pytest.mark.parametrize("value", ["s3cret" * 30, {"s3cret": 1}, ["s3cret"], b"s3cret"])
def test_the_value_is_never_echoed(value: Any) -> None:
    def pay(amount: int, colour: Colour = Colour.RED, kind: Literal["a", "b"] = "a") -> None: ...

    assert "s3cret" not in str(refused(pay, {"amount": value}))
    assert "s3cret" not in str(refused(pay, {"amount": 1, "colour": value}))
    assert "s3cret" not in str(refused(pay, {"amount": 1, "kind": value}))


def test_a_pydantic_model_is_checked_without_echoing() -> None:
    def greet(person: Person) -> None: ...

    error = refused(greet, {"person": {"name": "Ann", "age": "s3cret"}})
    assert error.field == "args.person"
    assert "Person: age: int parsing" in str(error) and "s3cret" not in str(error)


def test_constraints_of_an_annotation_hold() -> None:
    def rate(stars: Annotated[int, msgspec.Meta(ge=1, le=5)]) -> None: ...

    assert "expected int <= 5" in str(refused(rate, {"stars": 6}))


def test_extra_keywords_are_taken_and_checked_where_the_function_takes_them() -> None:
    def measure(name: str, **readings: float) -> None: ...

    validator = ArgumentValidator(measure)
    assert validator.convert(validator.check({"name": "n", "a": 1, "b": 2.5})) == {"name": "n", "a": 1.0, "b": 2.5}
    assert refused(measure, {"name": "n", "a": "x"}).field.startswith("args")


def test_an_argument_without_annotation_takes_anything() -> None:
    def anything(value, other=None): ...  # type: ignore[no-untyped-def]

    for value in (1, "x", None, [1], {"a": 1}):
        ArgumentValidator(anything).check({"value": value, "other": value})


def test_none_is_accepted_where_it_is_the_default() -> None:
    def maybe(count: int = None): ...  # type: ignore[no-untyped-def, assignment]  # noqa: RUF013

    ArgumentValidator(maybe).check({"count": None})


def test_positions_are_named() -> None:
    validator = ArgumentValidator(mail)
    assert validator.bind(("t", "s"), {"count": 2}) == {"to": "t", "subject": "s", "count": 2}
    assert validator.bind((), {"to": "t"}) == {"to": "t"}


def test_too_many_positions_and_arguments_given_twice_are_refused() -> None:
    validator = ArgumentValidator(mail)
    with pytest.raises(ValidationError, match="takes 4 positional arguments, got 5"):
        validator.bind(("t", "s", 1, [], "more"), {})
    with pytest.raises(ValidationError, match=r"args\.to: given twice"):
        validator.bind(("t",), {"to": "t"})


def test_keyword_only_arguments_are_not_given_by_position() -> None:
    def only(*, name: str) -> None: ...

    with pytest.raises(ValidationError, match="takes 0 positional arguments"):
        ArgumentValidator(only).bind(("n",), {})


def test_functions_whose_arguments_cannot_go_by_name_are_refused_when_declared() -> None:
    def varargs(*names: str) -> None: ...

    def positional(name: str, /) -> None: ...

    with pytest.raises(DeclarationError, match=r"\*names cannot carry"):
        ArgumentValidator(varargs)
    with pytest.raises(DeclarationError, match="name is positional-only"):
        ArgumentValidator(positional)


def test_an_annotation_that_cannot_be_checked_is_refused_when_declared() -> None:
    def either(value: list[int] | set[int]) -> None: ...

    def unknown(value: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(DeclarationError, match=r"annotation of value cannot be checked.*simplify it or use Any"):
        ArgumentValidator(either)
    with pytest.raises(DeclarationError, match="'Missing' is not defined"):
        ArgumentValidator(unknown)


def test_an_argument_of_a_class_that_cannot_travel_says_so() -> None:
    def take(thing: Unsendable) -> None: ...

    assert "expected Unsendable, got dict" in str(refused(take, {"thing": {}}))


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    )


json_values = nested(st.floats(allow_nan=False))
#: what may stand in a payload
travelling = nested(st.floats(allow_nan=False, allow_infinity=False))


@given(st.dictionaries(st.sampled_from(["to", "subject", "count", "tags", "x"]) | st.text(max_size=4), json_values))
def test_whatever_comes_it_is_accepted_as_it_is_or_refused_by_name(args: dict[str, Any]) -> None:
    fits = (
        isinstance(args.get("to"), str)
        and isinstance(args.get("subject"), str)
        and ("count" not in args or (isinstance(args["count"], int) and not isinstance(args["count"], bool)))
        and (args.get("tags") is None or all(isinstance(tag, str) for tag in args["tags"]))
        and (args.get("tags") is None or isinstance(args["tags"], list))
        and args.keys() <= {"to", "subject", "count", "tags"}
    )
    try:
        assert ArgumentValidator(mail).check(args) is args
        accepted = True
    except ValidationError as error:
        assert error.field.startswith("args")
        accepted = False
    assert accepted == fits


def needy(to: str, count: int, anything: Any) -> None:
    """A task whose arguments must all be given."""


def outcome(read: Callable[[], tuple[Any, dict[str, Any]]]) -> Any:
    """What reading a payload gives: arguments, metadata and correlation id, or the error."""
    try:
        envelope, args = read()
    except (ValidationError, PayloadUnreadable) as error:
        return type(error), str(error)
    return args, envelope.metadata, envelope.correlation_id


def in_two_steps(validator: ArgumentValidator, payload: bytes) -> tuple[Any, dict[str, Any]]:
    envelope = decode(payload)
    return envelope, validator.convert(envelope.args)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("to", "count", "anything", "x"), travelling)),
    st.sampled_from([b"", b"}", b"\xff", b"\x01"]),
    st.integers(0, 2),
)
def test_a_payload_opened_in_one_go_says_what_two_steps_say(args: dict[str, Any], junk: bytes, version: int) -> None:
    payload = encode(args, {"m": 1}, "c").replace(b'"v":1', b'"v":%d' % version) + junk
    for func in (needy, mail):
        validator = ArgumentValidator(func)
        assert outcome(lambda v=validator: v.open(payload)) == outcome(lambda v=validator: in_two_steps(v, payload))


def test_a_compressed_payload_and_every_kind_of_argument_are_opened_too() -> None:
    long = {"to": "a" * 100_000, "count": 1, "anything": None}
    assert ArgumentValidator(needy).open(encode(long))[1] == long
    assert ArgumentValidator(typed).open(encode(TYPED))[1] == TYPED
