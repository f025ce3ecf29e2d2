"""Sphinx settings. What the code knows, permissions and the command's help, goes into the pages from there."""

from __future__ import annotations

import re
import sys
import tomllib
import typing
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / root) for root in ("generated", "wrapper")]

import click

import signalwire_tokens
from signalwire_tokens.cli.commands import command_line

if typing.TYPE_CHECKING:
    from collections.abc import Iterable

    from docutils.nodes import Element
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment


def permission_table(permissions: Iterable[str]) -> str:
    """Return a Markdown table of permissions; those that nobody has described yet are in it too."""
    described = tomllib.loads((HERE / "permissions.toml").read_text(encoding="utf-8"))
    nothing = {"opens": "*not described yet*", "sure": "unchecked"}
    rows = [(f"`{name}`", described.get(name, nothing)) for name in permissions]
    return "\n".join(
        [
            "| permission | opens | how sure |",
            "|---|---|---|",
            *(f"| {name} | {row['opens']} | {row['sure']} |" for name, row in rows),
        ]
    )


def help_of(name: str | None = None) -> str:
    """Return what the command, or one of its subcommands, prints for --help, as a Markdown block."""
    context = click.Context(command_line, info_name="signalwire-tokens", terminal_width=80)
    if name:
        context = click.Context(command_line.commands[name], info_name=name, parent=context, terminal_width=80)
    return f"```text\n{context.get_help()}\n```"


def public_name(app: Sphinx, env: BuildEnvironment, node: Element, content: Element) -> Element | None:
    """Link a name of a private module, as annotations have it, to where it is documented."""
    name = node["reftarget"].rpartition(".")[2]
    if node["refdomain"] != "py" or name not in signalwire_tokens.__all__:
        return None
    target = f"signalwire_tokens.{name}"
    return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, content)


def as_called(
    _app: Sphinx, what: str, _name: str, documented: type, _options: object, arguments: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Show a signature as callers meet it."""
    if what == "exception":
        # Only the library makes one.
        return "", None
    # Sphinx writes an alias in a union so.
    arguments = arguments and re.sub(r"[~.\w]*TypeAliasForwardRef\('(\w+)'\)", r"\1", arguments)
    if what == "class" and arguments:
        for base in getattr(documented, "__orig_bases__", ()):
            for taken in typing.get_args(base):
                arguments = re.sub(r"[~.\w]*\bTransport\b", f"httpx.{taken.__name__}", arguments)
    # The classes of the blocks are private.
    block = r"~contextlib.Abstract\1ContextManager[~signalwire_tokens.ApiToken]"
    returns = returns and re.sub(r"[~.\w]*\b(Async|)Temporary$", block, returns)
    return arguments, returns


def setup(app: Sphinx) -> None:
    """Register what is made here."""
    app.connect("missing-reference", public_name)
    app.connect("autodoc-process-signature", as_called)


project = "signalwire-tokens"
release = signalwire_tokens.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "substitution"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
myst_substitutions = {
    "permission_table": permission_table(signalwire_tokens.Permission),
    "help": help_of(),
    **{f"help_{name}": help_of(name) for name in command_line.commands},
}

# Shown by their names, which the reference explains.
autodoc_type_aliases = {name: name for name in ("Id", "Permissions", "Secret", "Store")}

# A name in backticks becomes a link where the reference has it, and stays code elsewhere.
default_role = "py:obj"
nitpick_ignore_regex = [
    ("py:obj", ".*"),
    ("py:.*", r"(collections\.abc|contextlib|httpx|typing|uuid)\b.*"),
    ("py:class", r"Id|Permissions|Secret|Store|Abstract(Async)?ContextManager"),
]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 72
napoleon_google_docstring = True
napoleon_numpy_docstring = False

toc_object_entries_show_parents = "hide"

templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme = "pydata_sphinx_theme"
html_title = "signalwire-tokens"
html_favicon = "favicon.svg"
html_copy_source = False
html_show_copyright = False
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system is
html_sidebars = {"**": ["pages"]}
html_theme_options = {
    "navbar_center": [],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": [],
    "footer_end": ["sphinx-version", "theme-version"],
    "article_header_start": [],
    # The reference's page list would hold every attribute.
    "show_toc_level": 2,
}
