from __future__ import annotations

import numpy as np
import pytest

from agelens.data.splits import MorphSetting1, MorphSetting2, MorphSetting3
from agelens.errors import TableError
from agelens.tables import SampleTable


@pytest.fixture(scope="module")
def morph(people_table) -> SampleTable:
    """40 White women, 200 White men, 100 Black women, 400 Black men, 20 others; a person each 5."""
    cells = [("White", "female", 40), ("White", "male", 200), ("Black", "female", 100)]
    cells += [("Black", "male", 400), ("Asian", "male", 20)]
    race = np.repeat([cell[0] for cell in cells], [cell[2] for cell in cells])
    gender = np.repeat([cell[1] for cell in cells], [cell[2] for cell in cells])
    return people_table([5] * 152, ethnicity=race, gender=gender)


def test_setting_1_draws_white_pictures_once(morph) -> None:
    splits = MorphSetting1(pictures=100)(morph, seed=3)
    assert [split.counts for split in splits] == [{"train": 80, "test": 20}] * 5
    drawn = [frozenset(np.flatnonzero(split.codes >= 0)) for split in splits]
    assert len(set(drawn)) == 1
    assert (morph.frame["ethnicity"].iloc[list(drawn[0])] == "White").all()
    assert len({tuple(split.ids("test")) for split in splits}) == 5
    assert splits[0].notes == ("100 of 240 pictures of White people, drawn with seed 3",)


def test_setting_1_takes_all_where_there_are_fewer(morph) -> None:
    assert MorphSetting1()(morph)[0].counts == {"train": 192, "test": 48}


def test_setting_2_takes_every_picture_five_times(morph) -> None:
    splits = MorphSetting2()(morph)
    assert [split.counts for split in splits] == [{"train": 608, "test": 152}] * 5


def test_setting_3_balances_race_and_gender_in_every_part(morph) -> None:
    splits = MorphSetting3(pictures=240)(morph, seed=1)
    assert [split.counts for split in splits] == [{"train": 80, "test": 160}] * 3
    trained = np.concatenate([np.flatnonzero(split.codes == 0) for split in splits])
    assert len(set(trained)) == 240
    for split in splits:
        part = morph.frame[split.codes == 0]
        counts = part.groupby(["ethnicity", "gender"], observed=True).size()
        assert counts.to_dict() == {
            ("Black", "female"): 10,
            ("Black", "male"): 30,
            ("White", "female"): 10,
            ("White", "male"): 30,
        }


def test_setting_3_shrinks_to_the_rarest_cell(morph) -> None:
    split = MorphSetting3()(morph)[0]
    assert sum(split.counts.values()) == 8 * 40
    assert split.notes[0].startswith("320 pictures drawn with seed 0")


@pytest.mark.parametrize("setting", [MorphSetting1, MorphSetting3])
def test_a_table_without_race_is_refused(people_table, setting) -> None:
    with pytest.raises(TableError, match="the words in its column ethnicity are: Indian"):
        setting()(people_table([2], ethnicity=["Indian", None]))
