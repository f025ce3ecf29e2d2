from enum import StrEnum


class Permission(StrEnum):
    CALLING = "calling"
    CHAT = "chat"
    DATASPHERE = "datasphere"
    FAX = "fax"
    MANAGEMENT = "management"
    MESSAGING = "messaging"
    NUMBERS = "numbers"
    PUBSUB = "pubsub"
    STORAGE = "storage"
    TASKING = "tasking"
    VIDEO = "video"

    def __str__(self) -> str:
        return str(self.value)
