"""The engine: types, registry, audio reading, planning, running on Ray, statistics, store and command line.

The engine knows no task and no model by name. Importing this package loads neither torch nor ray; what is
heavy is imported inside the function that needs it.
"""
