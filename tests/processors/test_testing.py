"""The helper for authors of processors finds folds that are none."""

import msgspec
import pytest

from processors import ProcessorResult, Table
from processors.testing import as_rows, check_fold, fold

NUMBERS = Table("numbers", {"n": "INTEGER", "seen": "BOOLEAN"}, key=("n",))
TOTAL = Table("total", {"n": "INTEGER"}, kind="one_per_session")
LINES = [b'{"n": 1}', b'{"n": 2}', b"nonsense", b'{"n": 3}']


class Carry(msgspec.Struct):
    """What the processors below carry."""

    total: int = 0


class Summing:
    """A true fold: rows, a total, and news about the row before."""

    name = "summing"
    tables = (NUMBERS, TOTAL)
    carry_type = Carry

    def process(self, batch):
        assert batch.is_first == (batch.carry is None)
        carry = batch.carry or Carry()
        last = carry.total
        numbers = [value["n"] for value in batch.objects()]
        rows = [{"n": n, "seen": None} for n in numbers]
        updates = [{"n": n, "seen": True} for n in range(1, last + 1)]
        total = Carry(max([last, *numbers]))
        return ProcessorResult(
            rows={"numbers": rows, "total": {"n": [total.total]}}, updates={"numbers": updates}, carry=total
        )


class Forgetful(Summing):
    """Counts each batch as if it were the first."""

    def process(self, batch):
        numbers = [(value["n"], None) for value in batch.objects()]
        return ProcessorResult(rows={"numbers": numbers, "total": [(len(numbers),)]})


def test_the_rows_of_a_fold_are_those_after_all_batches():
    tables = fold(Summing(), [LINES[:2], [], LINES[2:]])
    assert tables["total"] == [{"n": 3}]
    assert tables["numbers"] == [{"n": 1, "seen": True}, {"n": 2, "seen": True}, {"n": 3, "seen": None}]


def test_a_processor_whose_result_depends_on_the_cuts_is_found():
    with pytest.raises(AssertionError, match=r"table total: at once .*'n': 3.* in 2 parts .*'n': 1"):
        check_fold(Forgetful(), LINES, [3])


def test_a_processor_that_adds_up_from_its_carry_passes_any_cuts():
    class Adding(Summing):
        tables = (TOTAL,)

        def process(self, batch):
            total = (batch.carry or Carry()).total + len(list(batch.objects()))
            return ProcessorResult(rows={"total": [(total,)]}, carry=Carry(total))

    for cut in range(-1, 6):
        check_fold(Adding(), LINES, [cut, 2, cut])


def test_a_carry_that_cannot_be_stored_is_found():
    class Odd(Summing):
        def process(self, batch):
            return ProcessorResult(carry=object())

    with pytest.raises(TypeError):
        fold(Odd(), [LINES])


def test_rows_of_every_shape_mean_the_same():
    wanted = [{"n": 1, "seen": True}, {"n": 2, "seen": False}]
    assert as_rows(wanted, NUMBERS) == wanted
    assert as_rows([(1, True), (2, False)], NUMBERS) == wanted
    assert as_rows({"n": [1, 2], "seen": [True, False]}, NUMBERS) == wanted
    assert as_rows((), NUMBERS) == []
