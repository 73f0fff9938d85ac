from .boundary_drift import BoundaryDrift as BoundaryDrift
