"""The language in which the golden cases are written."""

from .case import REGISTRY, Case, case, changed
from .topology import *
from .wire import *
