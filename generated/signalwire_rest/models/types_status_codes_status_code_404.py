from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.types_status_codes_status_code_404_error import (
    TypesStatusCodesStatusCode404Error,
)

T = TypeVar("T", bound="TypesStatusCodesStatusCode404")


@_attrs_define
class TypesStatusCodesStatusCode404:
    """No such resource.

    Attributes:
        error (TypesStatusCodesStatusCode404Error):
    """

    error: TypesStatusCodesStatusCode404Error
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        error = self.error.value

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "error": error,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        error = TypesStatusCodesStatusCode404Error(d.pop("error"))

        types_status_codes_status_code_404 = cls(
            error=error,
        )

        types_status_codes_status_code_404.additional_properties = d
        return types_status_codes_status_code_404

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
