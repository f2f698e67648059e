from __future__ import annotations

import inspect

from audiometry.benchmark import errors


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    documented = errors.__doc__ or ""
    classes = {name: cls for name, cls in vars(errors).items() if inspect.isclass(cls)}
    assert set(errors.__all__) == set(classes)
    for name, cls in classes.items():
        assert name in documented
        assert issubclass(cls, errors.AudiometryError)
        assert cls.exit_code in (1, 2, 130)
