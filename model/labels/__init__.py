"""Says what labels mean before and after the network: truth, thresholds and predictions."""

AUTO = "auto"
"""The value of `--labels_as` that lets the first records tell how labels are written."""

NAMES, INDICES, FILE_INDICES, MULTI_HOT, COLUMNS, LONG, NONE = FORMS = (
    "names",
    "indices",
    "file_indices",
    "multi_hot",
    "columns",
    "long",
    "none",
)
"""How labels are written: their names, numbers in the model's order, numbers in the order of the file's own names, a
0/1 vector, a field for each label, a row for each label of a record (in truth tables), and not at all. They are defined
here so that `--help` need not import what reads them."""

POLICIES = ("present", "absent", "unknown")
"""What `--uncertain` and `--blank` may make of a cell."""
