from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.permission import Permission
from ..types import UNSET, Unset

T = TypeVar("T", bound="CreateTokenRequest")


@_attrs_define
class CreateTokenRequest:
    """Request body for creating a new API Token.

    Attributes:
        name (str): The name representing the API token.
        permissions (list[Permission]): The permissions you would like to enable for this token. Valid permissions are
            calling, chat, datasphere, fax, management, messaging, numbers, pubsub, storage, tasking, and video
        subproject_id (UUID | Unset): The unique identifier of the subproject you would like to create a token for. The
            subproject passed must be a child of the project used to authenticate the request.
    """

    name: str
    permissions: list[Permission]
    subproject_id: UUID | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        permissions = []
        for permissions_item_data in self.permissions:
            permissions_item = permissions_item_data.value
            permissions.append(permissions_item)

        subproject_id: str | Unset = UNSET
        if not isinstance(self.subproject_id, Unset):
            subproject_id = str(self.subproject_id)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "name": name,
                "permissions": permissions,
            }
        )
        if subproject_id is not UNSET:
            field_dict["subproject_id"] = subproject_id

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        permissions = []
        _permissions = d.pop("permissions")
        for permissions_item_data in _permissions:
            permissions_item = Permission(permissions_item_data)

            permissions.append(permissions_item)

        _subproject_id = d.pop("subproject_id", UNSET)
        subproject_id: UUID | Unset
        if isinstance(_subproject_id, Unset):
            subproject_id = UNSET
        else:
            subproject_id = UUID(_subproject_id)

        create_token_request = cls(
            name=name,
            permissions=permissions,
            subproject_id=subproject_id,
        )

        create_token_request.additional_properties = d
        return create_token_request

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
