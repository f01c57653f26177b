"""Tags come in many forms and are kept in one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_memory.domain.errors import InvalidInputError
from mcp_memory.domain.tags import MAX_TAG_LENGTH, MAX_TAGS, parse_tags

words = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters=","), min_size=0, max_size=20)


@pytest.mark.parametrize(
    ("raw", "tags"),
    [
        (None, ()),
        ("", ()),
        ([], ()),
        ("Work, python ,,work", ("work", "python")),
        (["Work", " python ", "", "WORK"], ("work", "python")),
        ('["Work", "two words"]', ("work", "two words")),
        ("[]", ()),
        ("[wip], later", ("[wip]", "later")),
        (("b", "a"), ("b", "a")),
        ("untagged", ("untagged",)),
        (["привет", "ÜBER"], ("привет", "über")),
        (["x" * MAX_TAG_LENGTH], ("x" * MAX_TAG_LENGTH,)),
        ([f"tag{number}" for number in range(MAX_TAGS)], tuple(f"tag{number}" for number in range(MAX_TAGS))),
        (["agent:claude", "conflict:unresolved"], ("agent:claude", "conflict:unresolved")),
    ],
)
def test_every_written_form_gives_the_same_tags(raw: str | list[str] | None, tags: tuple[str, ...]) -> None:
    assert parse_tags(raw) == tags


@pytest.mark.parametrize(
    "raw",
    [
        ["a,b"],
        '["a,b"]',
        ["line\nbreak"],
        ["nul\0"],
        ["\ud800"],
        ["tab\tinside"],
        ["in\x85side"],
        ["in\x7fside"],
        ["in\x9fside"],
        ["x" * (MAX_TAG_LENGTH + 1)],
        [str(number) for number in range(10_000)],
        ",".join(str(number) for number in range(MAX_TAGS + 1)),
        "[not json]",
        '["unclosed]',
        "[" * 100_000 + "]" * 100_000,
        [1],
        [None],
        [["nested"]],
        {"a": 1},
        7,
        "[1, 2]",
    ],
)
def test_what_can_not_be_a_tag_is_refused_by_field(raw: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_tags(raw)  # type: ignore[arg-type]
    assert caught.value.field == "tags"


def test_imports_keep_more_and_longer_tags_than_a_new_memory_may_have() -> None:
    assert len(parse_tags([str(number) for number in range(500)], imported=True)) == 500
    assert parse_tags(["x" * 1000], imported=True) == ("x" * 1000,)


@given(st.lists(words, max_size=MAX_TAGS))
def test_parsed_tags_are_stripped_lower_case_once_each_and_parse_to_themselves(raw: list[str]) -> None:
    tags = parse_tags(raw)
    assert parse_tags(tags) == tags
    assert len(set(tags)) == len(tags)
    assert all(tag and tag == tag.strip().lower() for tag in tags)
    assert set(tags) == {word.strip().lower() for word in raw} - {""}


@given(st.lists(words, max_size=MAX_TAGS))
def test_a_comma_string_means_the_list_of_its_parts(raw: list[str]) -> None:
    joined = ",".join(raw)
    if not (joined.strip().startswith("[") and joined.strip().endswith("]")):
        assert parse_tags(joined) == parse_tags(raw)


def test_the_message_says_that_it_is_about_a_tag() -> None:
    with pytest.raises(InvalidInputError, match=r"^a tag in tags must be a text, got int\.$"):
        parse_tags([1])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("written", "tags"),
    [
        ("['boiler', 'house']", ("boiler", "house")),
        (" [ 'it\\'s', \"two\" ] ", ("it's", "two")),
        ("['Boiler']", ("boiler",)),
        ("[]", ()),
    ],
)
def test_a_list_as_python_writes_it_is_a_list(written: str, tags: tuple[str, ...]) -> None:
    assert parse_tags(written) == parse_tags(written, imported=True) == tags


@pytest.mark.parametrize(
    "written", ["['a', 1]", "['a']]", "[a, b]", "['a'] + ['b']", "[__import__('os')]", "[" * 5000 + "]"]
)
def test_what_is_no_list_of_texts_is_refused(written: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_tags(written)
