"""Measure it here: a model of the reader's own run by ONNX Runtime on this host, in a process of its own, in a queue.

`records` what is asked and what is found, `child` the process that runs the model, `confine` what it may not do, `process`
starts, watches and ends it, `queue` lets one run at a time, `factor` sets the times beside the prediction.
Nothing is imported here: the child imports this package.
"""
