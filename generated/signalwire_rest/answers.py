"""What each operation answers when it succeeds: the status, and the least body that the description allows.

Made by `make generate`.
"""

from typing import Any

CREATE_TOKEN: tuple[int, Any] = (
    200,
    {
        'id': '00000000-0000-4000-8000-000000000000',
        'name': '',
        'permissions': [],
        'token': '',
    },
)
DELETE_TOKEN: tuple[int, Any] = (
    204,
    None,
)
UPDATE_TOKEN: tuple[int, Any] = (
    200,
    {
        'id': '00000000-0000-4000-8000-000000000000',
        'name': '',
        'permissions': [],
        'token': '',
    },
)
