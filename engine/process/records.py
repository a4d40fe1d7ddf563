"""`NamedTuple`, made faster than typing's: that one compiles code for each class, 0.1 ms, and a command that talks to the daemon
knows sixty of them.

For the type checker it is typing's. Here it has what those classes use: fields with defaults, methods, `_replace`, `_asdict`,
`_make`, patterns by position.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:
    from _collections import _tuplegetter

    def _new(cls, *values, **named):
        """Raises TypeError for what typing's would."""
        fields, defaults = cls._fields, cls._field_defaults
        missing = fields[len(values) :]
        if missing or named:
            try:
                values += tuple([named.pop(field) if field in named else defaults[field] for field in missing])
            except KeyError as error:
                raise TypeError(f"{cls.__name__} needs {error}") from None
        if named or len(values) != len(fields):
            raise TypeError(f"{cls.__name__} has the fields {', '.join(fields)}, and takes nothing else")
        return tuple.__new__(cls, values)

    def _replace(self, **changes):
        return _new(type(self), **{**self._asdict(), **changes})

    def _asdict(self):
        return dict(zip(self._fields, self, strict=True))

    def _repr(self):
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self._asdict().items())})"

    class _Maker(type):
        def __new__(mcs, name, bases, namespace):
            if not bases:
                return super().__new__(mcs, name, bases, namespace)
            fields = tuple(namespace.get("__annotations__", ()))
            defaults = {field: namespace.pop(field) for field in fields if field in namespace}
            getters = {field: _tuplegetter(number, "") for number, field in enumerate(fields)}
            common = {
                "__slots__": (),
                "__match_args__": fields,
                "_fields": fields,
                "_field_defaults": defaults,
                "__new__": _new,
                "__repr__": _repr,
                "__getnewargs__": tuple,
                "_replace": _replace,
                "_asdict": _asdict,
                "_make": classmethod(tuple.__new__),
            }
            return type(name, (tuple,), {**common, **namespace, **getters})

    class NamedTuple(metaclass=_Maker):
        pass
