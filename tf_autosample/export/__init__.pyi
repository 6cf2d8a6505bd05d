from .live import ExportError as ExportError
from .publish import export_retrieval as export_retrieval
