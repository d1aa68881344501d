"""What tables of history are made of: their base and the kinds of their columns.

Text is compared byte by byte (collation "C" on PostgreSQL), so that ranges and sorting agree on every database.
"""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import BigInteger, Boolean, Double, Index, Integer, MetaData, String, Table, Text, text
from sqlmodel import Field, SQLModel

metadata = MetaData()


class Base(SQLModel):
    """Keeps our tables in a metadata of their own."""

    metadata = metadata


#: numbers of 64 bits, and texts that are compared byte by byte
BIG: Any = BigInteger().with_variant(Integer, "sqlite")
NAME: Any = String().with_variant(String(collation="C"), "postgresql")


def column(type_: Any, default: Any = None, **options: Any) -> Any:
    """A column of some type."""
    return Field(default=default, sa_type=type_, nullable=options.pop("nullable", False), **options)


def short() -> Any:
    """A name or a word."""
    return column(NAME, "")


def long(default: str | None = "") -> Any:
    """A text of any length."""
    return column(Text, default, nullable=default is None)


def seconds(default: float = 0.0) -> Any:
    """A time or a duration."""
    return column(Double, default)


def whole(default: int = 0) -> Any:
    """A number that stays small."""
    return column(Integer, default)


def key(type_: Any) -> Any:
    """A column of the primary key."""
    return Field(default=None, sa_type=type_, primary_key=True, nullable=False)


def yes_no() -> Any:
    """True or false."""
    return column(Boolean, False)


def partial(name: str, condition: str, *columns: str) -> Index:
    """An index of the rows that a condition holds for."""
    return Index(name, *columns, sqlite_where=text(condition), postgresql_where=text(condition))


def table_of(model: type[Base]) -> Table:
    """The table behind a class."""
    return cast(Table, vars(model)["__table__"])
