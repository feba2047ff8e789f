"""Places: the folders of this machine, which are not told to clients."""

from collections.abc import Iterable
from typing import Any


class Places:
    """Names for folders, by which texts for clients call them."""

    def __init__(self, named: Iterable[tuple[object, str]]) -> None:
        """Take folders and addresses with their names; those that lie deeper come first."""
        pairs = {str(path): name for path, name in named}
        self._named = sorted(pairs.items(), key=lambda pair: -len(pair[0]))

    def hidden(self, text: str) -> str:
        """Return a text in which folders are called by their names.

        >>> Places([(Path("/data/site.gallery"), "site")]).hidden("/data/site.gallery is empty")
        'site is empty'
        """
        for path, name in self._named:
            text = text.replace(path, name)
        return text

    def hidden_in(self, value: Any) -> Any:
        """Return a value for JSON, in all texts of which folders are called by their names."""
        match value:
            case str():
                return self.hidden(value)
            case list():
                return [self.hidden_in(each) for each in value]
            case dict():
                return {key: self.hidden_in(each) for key, each in value.items()}
            case _:
                return value
