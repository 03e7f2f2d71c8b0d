"""Sphinx builds the site of these pages: `make docs`. A warning is an error there, and so is a link that leads nowhere."""

from __future__ import annotations

import sys
from pathlib import Path

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

html_theme = "furo"
html_title = f"qdrant-rerank {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True


def setup(app):
    """Write the reference's pages, and read docstrings as the Markdown that they are."""
    reference.write(Path(app.srcdir, "reference"))
    app.connect("autodoc-process-docstring", reference.read_markdown, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", reference.escape_types, priority=600)  # after it
