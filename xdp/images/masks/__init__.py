"""Which pixels may be used, and the files that say so.

``shapes`` and ``resolution`` mask regions of a panel, ``generate_mask`` puts them together as parameters say;
``static`` gives what is masked on all images of an experiment, ``trusted`` which counts are good; ``pickles`` reads and
writes files, and ``flexpickle`` takes pickles of DIALS apart without executing them.
"""
