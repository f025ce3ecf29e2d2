from enum import StrEnum


class TypesStatusCodesStatusCode500Error(StrEnum):
    INTERNAL_SERVER_ERROR = "Internal Server Error"

    def __str__(self) -> str:
        return str(self.value)
