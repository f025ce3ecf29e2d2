from enum import StrEnum
from typing import Literal


class TypesStatusCodesStatusCode500Error(StrEnum):
    INTERNAL_SERVER_ERROR = "Internal Server Error"

    def __str__(self) -> str:
        return str(self.value)


TypesStatusCodesStatusCode500ErrorName = Literal["Internal Server Error"]
