from enum import StrEnum
from typing import Literal


class TypesStatusCodesStatusCode404Error(StrEnum):
    NOT_FOUND = "Not Found"

    def __str__(self) -> str:
        return str(self.value)


TypesStatusCodesStatusCode404ErrorName = Literal["Not Found"]
