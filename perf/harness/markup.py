"""HTML and SVG as text: whatever is not markup already is escaped, so no name or command can break a page."""
from html import escape

EMPTY = {"meta", "wbr"}  # Elements without an end tag, of those used here.


class Markup(str):
    """Text that is HTML already."""


def joined(children):
    """Markup of children: texts, markup, numbers, None (nothing), and lists of these."""
    out = []
    for child in children:
        if isinstance(child, (list, tuple)):
            out.append(joined(child))
        elif child is not None:
            out.append(child if isinstance(child, Markup) else escape(str(child), quote=False))
    return Markup("".join(out))


def element(name, /, *children, **attributes):
    """One element. `class_` is `class`, `stroke_width` is `stroke-width`; an attribute of None is left
    out."""
    out = [f"<{name}"]
    for key, value in attributes.items():
        if value is not None:
            text = f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
            out.append(f' {key.rstrip("_").replace("_", "-")}="{escape(text)}"')
    out.append(">")
    return Markup("".join(out) + ("" if name in EMPTY else joined(children) + f"</{name}>"))
