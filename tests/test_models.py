import copy
import json
import pickle
from typing import get_args
from uuid import uuid4

import attrs
import pytest

from signalwire_tokens import ApiToken, Permission, PermissionName, SecretStr, UnlistedPermission

SECRET = "PT-not-to-be-seen"


@pytest.mark.parametrize("show", [str, repr, "{}".format, "{!s:>40}".format, "%s".__mod__, "%r".__mod__])
def test_a_secret_shows_only_on_request(show: object) -> None:
    secret = SecretStr(SECRET)
    assert SECRET not in show(secret)
    assert "**********" in show(secret)
    assert SECRET not in show(ApiToken(uuid4(), "ci", (Permission.FAX,), secret))
    assert secret.get_secret_value() == SECRET


def test_a_secret_is_formatted_by_its_mask() -> None:
    assert f"{SecretStr(SECRET)}" == "**********"


def test_the_mask_does_not_tell_the_length() -> None:
    assert str(SecretStr("")) == str(SecretStr("x" * 99))


def test_secrets_compare_by_value_and_only_with_secrets() -> None:
    assert SecretStr("a\ud800") == SecretStr("a\ud800")
    assert SecretStr("a") != SecretStr("b")
    assert SecretStr("a") != "a"
    assert {SecretStr("a"): 1}[SecretStr("a")] == 1


def test_a_secret_is_false_when_empty_and_has_a_length() -> None:
    assert not SecretStr("")
    assert len(SecretStr("abc")) == 3


@pytest.mark.parametrize("write", [pickle.dumps, json.dumps])
def test_a_secret_is_not_written_by_accident(write: object) -> None:
    secret = SecretStr(SECRET)
    with pytest.raises(TypeError) as caught:
        write(secret)
    assert SECRET not in str(caught.value)
    with pytest.raises(TypeError):
        write(ApiToken(uuid4(), "ci", (), secret))


def test_a_token_can_be_copied() -> None:
    token = ApiToken(uuid4(), "ci", (Permission.FAX,), SecretStr(SECRET))
    assert copy.deepcopy(token) == copy.copy(token) == token
    assert copy.copy(token.token) is token.token
    assert attrs.evolve(token, name="other").token == token.token


def test_a_token_cannot_be_changed() -> None:
    token = ApiToken(uuid4(), "ci", (), SecretStr(SECRET))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        token.name = "other"


def test_a_secret_is_a_str() -> None:
    with pytest.raises(TypeError, match="not bytes"):
        SecretStr(b"abc")


def test_an_unlisted_permission_is_a_str_with_a_value() -> None:
    assert UnlistedPermission("unlisted") == "unlisted" == UnlistedPermission("unlisted").value


def test_the_names_of_permissions_are_those_of_the_enum() -> None:
    assert get_args(PermissionName) == tuple(permission.value for permission in Permission)
