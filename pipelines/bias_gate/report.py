"""The data report."""
def data_report(**k: object) -> str:
    """x."""
    return ""
