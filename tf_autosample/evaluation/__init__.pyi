from .ranking import DivergedError as DivergedError
from .ranking import Evaluation as Evaluation
from .ranking import MostPopular as MostPopular
from .ranking import RetrievalEvaluation as RetrievalEvaluation
from .ranking import evaluate as evaluate
