"""The figures, as SVG to be put into a page: no ids that clash, no fonts to load, colours that follow the page's."""
