"""What a person sees of a search: curves in the terminal, figures, and a page to read."""

from tf_autosample.extras import explain_missing

with explain_missing():
    from tf_autosample.report.figures import save_curves
    from tf_autosample.report.page import comparison_files, search_files
    from tf_autosample.report.text import curves_text

__all__ = ["comparison_files", "curves_text", "save_curves", "search_files"]
