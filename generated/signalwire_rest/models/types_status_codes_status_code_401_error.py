from enum import StrEnum
from typing import Literal


class TypesStatusCodesStatusCode401Error(StrEnum):
    UNAUTHORIZED = "Unauthorized"

    def __str__(self) -> str:
        return str(self.value)


TypesStatusCodesStatusCode401ErrorName = Literal["Unauthorized"]
