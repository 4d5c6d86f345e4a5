"""`class`: groups of sessions and their attributes, which rules read as `class.weight`."""

from __future__ import annotations

from collections.abc import Sequence

from policy_dsl import ir, nodes
from policy_dsl.agree import is_zero, said
from policy_dsl.catalogue import SIGNALS, signal_of
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Label
from policy_dsl.elaborate import Elaborator
from policy_dsl.lexer import POISON
from policy_dsl.rows import reads
from policy_dsl.scope import Env
from policy_dsl.trails import find, read_here, way_to_handling
from policy_dsl.types import BOOL, TEXT, Type, quantity

_NOWHERE = Env(0)
RESERVE = "reserve"  # the one attribute with an effect: a share of the memory that other classes leave alone
Value = float | bool | str


def declare(el: Elaborator, classes: Sequence[nodes.ClassStatement], broken: bool) -> None:
    """Makes the attributes of *classes* readable, before any rule is read. *broken*: a class could not be read."""
    if broken:
        el.declared_signals[f"class.{POISON}"] = None
    for attribute, type_ in _types(classes).items():
        el.declared_signals[f"class.{attribute}"] = type_


def _types(classes: Sequence[nodes.ClassStatement]) -> dict[str, Type | None]:
    """The type of each attribute: that of the first value which isn't a plain 0."""
    found: dict[str, Type | None] = {}
    zero = frozenset[str]()
    for attribute in (a for c in classes for a in c.attributes):
        name = attribute.name.name
        if found.get(name) is None or name in zero:
            found[name] = _type(attribute) or found.get(name)
            zero = zero | {name} if is_zero(attribute.value) else zero - {name}
    return found


def _type(attribute: nodes.Attribute) -> Type | None:
    match attribute.value:
        case nodes.Number(unit=unit, dim=dim):
            return None if unit == POISON else quantity(dim)
        case nodes.Truth():
            return BOOL
        case nodes.Text():
            return TEXT


def check_classes(el: Elaborator, classes: Sequence[nodes.ClassStatement], places: dict[int, int]) -> list[ir.Class]:
    """The classes in their order, with what is wrong with them reported."""
    first: dict[str, nodes.ClassStatement] = {}
    made = []
    for c in classes:
        if c.name.name in first:
            label = (Label(first[c.name.name].name.span, "the first one"),)
            el.error(codes.REPEATED, f"two classes are called `{c.name.name}`", c.name.span, _NOWHERE, "", label)
        first.setdefault(c.name.name, c)
        when = None if c.when is None else _when(el, c, Env(places[id(c)]))
        attributes = _attributes(el, c, classes[0])
        if attributes is not None and (when is not None or c.when is None):
            made.append(ir.Class(c.name.name, when, attributes, c.span))
    if classes:
        _check_order(el, classes)
        _check_reserves(el, classes)
    return made


def _check_order(el: Elaborator, classes: Sequence[nodes.ClassStatement]) -> None:
    open_ = next((c for c in classes if c.when is None), None)
    last = classes[-1]
    if open_ is None:
        message, help = "the last class takes all others: it has no `when`", "add a last `class rest { ... }`"
        el.error(codes.CLASSES, message, last.name.span, _NOWHERE, help=help)
    elif open_ is not last:
        label = (Label(open_.name.span, "this one takes all that is left"),)
        after = classes[classes.index(open_) + 1]
        el.error(codes.CLASSES, "this class can never be reached", after.name.span, _NOWHERE, "", label)


def _check_reserves(el: Elaborator, classes: Sequence[nodes.ClassStatement]) -> None:
    reserves = [a for c in classes for a in c.attributes if a.name.name == RESERVE]
    shares = []
    for a in reserves:
        if not isinstance(a.value, nodes.Number) or a.value.unit not in ("", "%", POISON):
            help = "write a share such as `20%`"
            el.error(codes.CLASSES, "`reserve` is a share of the memory", a.value.span, _NOWHERE, help=help)
        elif not 0 <= a.value.value <= 1 and a.value.unit != POISON:
            el.error(codes.RANGE, "`reserve` lies between 0% and 100%", a.value.span, _NOWHERE)
        else:
            shares.append(a.value.value)
    if len(shares) == len(reserves) and sum(shares) > 1 + 1e-9:
        labels = tuple(Label(a.value.span, "and this") for a in reserves[:-1])
        message = f"the classes reserve {sum(shares):.0%} of the memory together"
        el.error(codes.RANGE, message, reserves[-1].value.span, _NOWHERE, "", labels)


def _attributes(
    el: Elaborator, c: nodes.ClassStatement, model: nodes.ClassStatement
) -> tuple[tuple[str, Value], ...] | None:
    found = len(el.found)
    seen: dict[str, nodes.Attribute] = {}
    for a in c.attributes:
        if a.name.name in seen:
            label = (Label(seen[a.name.name].span, "the first one"),)
            el.error(codes.REPEATED, f"`{a.name.name}` stands twice in this class", a.span, _NOWHERE, "", label)
        seen.setdefault(a.name.name, a)
    wanted = {a.name.name: a for a in model.attributes}
    for name, a in seen.items():
        if name not in wanted:
            label = (Label(model.name.span, "this class lacks it"),)
            message = "all classes have the same attributes"
            el.error(codes.CLASSES, message, a.name.span, _NOWHERE, "", label, f"add `{name}: ...` there")
        else:
            _same_type(el, a, wanted[name])
    missing = [name for name in wanted if name not in seen]
    if missing:
        label = (Label(wanted[missing[0]].span, "as this class has"),)
        help = "add " + ", ".join(f"`{name}: ...`" for name in missing)
        el.error(codes.CLASSES, "all classes have the same attributes", c.name.span, _NOWHERE, "", label, help)
    if len(el.found) > found or any(_type(a) is None for a in seen.values()):
        return None
    return tuple((name, seen[name].value.value) for name in wanted)


def _same_type(el: Elaborator, a: nodes.Attribute, model: nodes.Attribute) -> None:
    mine, other = _type(a), _type(model)
    if mine is None or other is None or mine == other:
        return
    if mine.kind is other.kind and (is_zero(a.value) or is_zero(model.value)):
        return
    label = (Label(model.value.span, f"this is {said(other)}"),)
    message = f"`{a.name.name}` is {said(other)} in one class and {said(mine)} in another"
    el.error(codes.UNITS, message, a.value.span, _NOWHERE, f"this is {said(mine)}", label)


def _when(el: Elaborator, c: nodes.ClassStatement, env: Env) -> ir.Node | None:
    """A condition over what is known, and fixed, when the session's first turn arrives."""
    assert c.when is not None
    node = el.condition(c.when, env)
    if node is None:
        return None
    read = next((r for r in reads(node) if not signal_of(r.key).at_birth), None)
    if read is None:
        return node
    if find(c.when, lambda n: isinstance(n, nodes.Foreseen), el.definitions) is not None:
        help = "the path: " + way_to_handling(c.when, "class", el.definitions)
        return el.error(codes.CYCLE, "a class cannot depend on `handling`", c.when.span, env, help=help)
    labels = read_here(c.when, read.key, el.definitions)
    what = "what the engine costs" if read.key.startswith("cost.") else f"`{read.key}`"
    if read.key.startswith("class."):
        message = "a class cannot depend on the class"
    else:
        message = f"a class is for all turns of a session, {what} isn't fixed when it begins"
    help = "read `hint.*` or " + ", ".join(f"`{s.name}`" for s in SIGNALS.values() if s.at_birth)
    return el.error(codes.NOT_READABLE, message, c.when.span, env, "", labels, help)
