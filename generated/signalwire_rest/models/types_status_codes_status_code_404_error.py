from enum import StrEnum


class TypesStatusCodesStatusCode404Error(StrEnum):
    NOT_FOUND = "Not Found"

    def __str__(self) -> str:
        return str(self.value)
