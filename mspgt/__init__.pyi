"""What `mspgt` exports, and where it lies; `__init__` imports each of them when it is first used."""

from .contracts.batch import Batch as Batch
from .contracts.batch import Labels as Labels
from .contracts.batch import Layer as Layer
from .contracts.intervention import Block as Block
from .contracts.intervention import Intervention as Intervention
from .contracts.intervention import LayerStatistics as LayerStatistics
from .contracts.metric import Generated as Generated
from .contracts.metric import Metric as Metric
from .contracts.series import HeatMap as HeatMap
from .contracts.series import Lines as Lines
from .contracts.series import Series as Series
from .contracts.signal import Fitted as Fitted
from .contracts.signal import Recorder as Recorder
from .contracts.signal import Report as Report
from .contracts.signal import Signal as Signal
from .contracts.signal import SumSignal as SumSignal
from .core.errors import UserError as UserError
from .core.key import Key as Key
from .core.options import option as option
from .core.random import gaussian as gaussian
from .core.random import integers as integers
from .core.state import State as State
from .core.state import Table as Table
from .core.state import Units as Units
from .core.state import stable_code as stable_code
from .experiments.entry import drift as drift
from .experiments.entry import intervene as intervene
from .experiments.entry import run as run
from .results.drift import Drift as Drift
from .results.intervention import Behaviour as Behaviour
from .results.loading import load as load
from .results.prediction_3_1 import prediction_3_1 as prediction_3_1
from .results.prediction_3_2 import prediction_3_2 as prediction_3_2
from .results.result import Result as Result
from .results.run import Run as Run

__version__: str
