from enum import StrEnum


class TypesStatusCodesStatusCode401Error(StrEnum):
    UNAUTHORIZED = "Unauthorized"

    def __str__(self) -> str:
        return str(self.value)
