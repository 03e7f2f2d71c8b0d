"""Sphinx builds the site of these pages: `make docs`. A warning is an error there, and so is a link that leads nowhere."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))

import reference

from qdrant_rerank import __version__

project = "qdrant-rerank"
author = "The qdrant-rerank developers"
copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build", "_site"]
nitpicky = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_inherit_docstrings = False  # those of qdrant-client are no reStructuredText
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autoclass_content = "both"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
default_role = "code"
suppress_warnings = ["ref.python"]  # of two types with one name, e.g. OnError: annotations show unqualified names
python_use_unqualified_type_names = True
maximum_signature_line_length = 88

smartquotes_action = "qe"  # no dashes: options begin with two hyphens

html_theme = "furo"
html_title = f"qdrant-rerank {version}"
html_extra_path = ["llms.txt"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True


FROM_ROOT = {
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
    "security": "SECURITY.md",
    "conduct": "CODE_OF_CONDUCT.md",
}


def show_from_root(app, name, source):
    """In the place of these pages, what lies in the repository's root, with its links as seen from here."""
    if name in FROM_ROOT:
        text = (ROOT / FROM_ROOT[name]).read_text("utf-8").replace("](docs/", "](")
        for page, file in FROM_ROOT.items():
            text = text.replace(f"]({file})", f"]({page}.md)")
        source[0] = text


def show_outputs(app, name, source):
    """Below the tutorial's code, what the notebook has below it."""
    if name == "tutorial":
        cells = json.loads((ROOT / "examples" / "tutorial.ipynb").read_text("utf-8"))["cells"]
        shown = {"".join(cell["source"]): cell["outputs"] for cell in cells if cell["cell_type"] == "code"}
        pattern = re.compile(r"^```python\n(.*?)\n```$", re.M | re.S)
        source[0] = pattern.sub(lambda block: block[0] + "".join(map(_output, shown[block[1]])), source[0])


def _output(output):
    if "text" in output:
        return f"\n\n```{{code-block}} text\n:class: output\n\n{''.join(output['text'])}\n```"
    if "text/html" not in output["data"]:
        return f"\n\n```{{code-block}} text\n:class: output\n\n{''.join(output['data']['text/plain'])}\n```"
    return f'\n\n````{{raw}} html\n<div class="output">{"".join(output["data"]["text/html"])}</div>\n````'


def setup(app):
    """Write the reference's pages, read docstrings as the Markdown that they are, and show what the tutorial prints."""
    app.connect("source-read", show_outputs)
    app.connect("source-read", show_from_root)
    reference.write(Path(app.srcdir, "reference"))
    app.connect("autodoc-process-docstring", reference.read_markdown, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", reference.escape_types, priority=600)  # after it
